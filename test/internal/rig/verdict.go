package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Skipped is the error of a part that cannot run on this machine. It has the reason.
type Skipped string

func (s Skipped) Error() string { return string(s) }

// Verdict is the line of JSON with the result of a part.
type Verdict struct {
	Part    string    `json:"part"`
	Quick   bool      `json:"quick"` // the run was smaller than a full run
	Seed    uint64    `json:"seed,omitempty"`
	Date    time.Time `json:"date"` // the start of the run
	Seconds float64   `json:"seconds"`
	OK      bool      `json:"ok"`
	Skipped string    `json:"skipped,omitempty"`
	Error   string    `json:"error,omitempty"`
	Counts  []Count   `json:"counts,omitempty"`
	Machine Machine   `json:"machine"`
}

// Whole reports whether a run with these flags has its full size: apart from harmless flags, each
// has its default.
func Whole(flags *flag.FlagSet, harmless ...string) bool {
	whole := true
	flags.Visit(func(f *flag.Flag) {
		whole = whole && (slices.Contains(harmless, f.Name) || f.Value.String() == f.DefValue)
	})
	return whole
}

// Try makes dir and runs the part, which works there and adds its figures to t. Unless
// file is "", it keeps the verdict in file. It returns the error of the part.
func (v Verdict) Try(dir, file string, t *Table, part func() error) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	begin := time.Now()
	v.Date, v.Machine.LoadBefore = begin.UTC().Truncate(time.Second), LoadAverage()
	err := part()
	if file == "" {
		return err
	}
	v.Seconds = time.Since(begin).Round(100 * time.Millisecond).Seconds()
	v.Machine.LoadAfter = LoadAverage()
	v.OK, v.Counts = err == nil, t.Counts()
	if skip := Skipped(""); errors.As(err, &skip) {
		v.Skipped = string(skip)
	} else if err != nil {
		v.Error = err.Error()
	}
	return errors.Join(err, v.keep(file))
}

// keep writes the verdict to the file, which has the last full run and the last quick
// run of each part. A skipped run does not replace a run that was not skipped.
func (v Verdict) keep(path string) error {
	all, err := Verdicts(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	i := slices.IndexFunc(all, func(was Verdict) bool { return was.Part == v.Part && was.Quick == v.Quick })
	switch {
	case i < 0:
		all = append(all, v)
	case v.Skipped == "" || all[i].Skipped != "":
		all[i] = v
	}
	var b bytes.Buffer
	for _, v := range all {
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			return err
		}
	}
	return Write(path, b.Bytes())
}

// Verdicts reads the file that --json names.
func Verdicts(path string) (all []Verdict, err error) {
	b, err := os.ReadFile(path)
	for line := range bytes.Lines(b) {
		var v Verdict
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, v)
	}
	return all, err
}

// Write writes a file atomically and makes its directories.
func Write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
