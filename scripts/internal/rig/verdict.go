package rig

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// Skipped is the error of a part that cannot be tried here; it says why.
type Skipped string

func (s Skipped) Error() string { return string(s) }

// Verdict is the line of JSON that tells of a part.
type Verdict struct {
	Part    string             `json:"part"`
	Quick   bool               `json:"quick"`
	Seed    uint64             `json:"seed,omitempty"`
	Seconds float64            `json:"seconds"`
	OK      bool               `json:"ok"`
	Skipped string             `json:"skipped,omitempty"`
	Error   string             `json:"error,omitempty"`
	Counts  map[string]float64 `json:"counts,omitempty"`
}

// Try makes dir, runs a part that works there and adds its figures to t, and
// appends the verdict to file, unless that is empty. It returns the part's error.
func (v Verdict) Try(dir, file string, t *Table, part func() error) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	begin := time.Now()
	err := part()
	if file == "" {
		return err
	}
	v.Seconds = time.Since(begin).Round(100 * time.Millisecond).Seconds()
	v.OK, v.Counts = err == nil, t.Counts()
	if skip := Skipped(""); errors.As(err, &skip) {
		v.Skipped = string(skip)
	} else if err != nil {
		v.Error = err.Error()
	}
	return errors.Join(err, v.appendTo(file))
}

func (v Verdict) appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(v), f.Close())
}
