package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// skipped is the error of a part that cannot be tried here; it says why.
type skipped struct{ why string }

func (s skipped) Error() string { return s.why }

// verdict is the line of JSON that tells of a part.
type verdict struct {
	Part    string         `json:"part"`
	Quick   bool           `json:"quick"`
	Seed    uint64         `json:"seed"`
	Seconds float64        `json:"seconds"`
	OK      bool           `json:"ok"`
	Skipped string         `json:"skipped,omitempty"`
	Error   string         `json:"error,omitempty"`
	Counts  map[string]int `json:"counts,omitempty"`
}

// try runs a part in its directory and tells of it where --json says.
func (l *lab) try(p part) error {
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return err
	}
	begin := time.Now()
	err := p.run(l)
	if l.json == "" {
		return err
	}
	v := verdict{
		Part: p.name, Quick: l.quick, Seed: l.seed, Seconds: time.Since(begin).Round(100 * time.Millisecond).Seconds(),
		OK: err == nil, Counts: l.figures.Counts(),
	}
	if skip := (skipped{}); errors.As(err, &skip) {
		v.Skipped = skip.why
	} else if err != nil {
		v.Error = err.Error()
	}
	return errors.Join(err, v.appendTo(l.json))
}

func (v verdict) appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(v), f.Close())
}
