package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"idem/test/internal/rig"
)

// addTimes adds figures of the durations of calls.
func (l *load) addTimes(all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	ms := func(percent int) float64 { return percentile(all, percent).Seconds() * 1000 }
	l.Measure("p50 ms", ms(50))
	l.Measure("p99 ms", ms(99))
	l.Measure("max ms", ms(100))
	l.Measure("p99 / p50", ms(99)/ms(50))
}

// percentile returns a percentile of a sorted list.
func percentile[T any](sorted []T, percent int) T { return sorted[(len(sorted)-1)*percent/100] }

// checkLeft adds the number and size of the files of a ledger. It returns an error for a
// file of output that does not belong to one of the runs.
func (l *load) checkLeft(ledger string, spools map[string]bool) error {
	var files, bytes int
	err := filepath.WalkDir(filepath.Join(l.dir, ledger), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += int(info.Size())
		if filepath.Base(filepath.Dir(path)) == "output" && !spools[d.Name()] {
			return fmt.Errorf("output/%s belongs to no run", d.Name())
		}
		return nil
	})
	l.Count("files left", files)
	l.Count("bytes left", bytes)
	return err
}

func (l *load) environ(name string) []string {
	return []string{"IDEM_LEDGER=" + filepath.Join(l.dir, name)}
}

// callIdem returns a call of idem that writes its messages to stderr.
func (l *load) callIdem(ledger string, args ...string) *exec.Cmd {
	c := exec.Command(l.idem, args...)
	c.Env = rig.Environ(l.environ(ledger)...)
	c.Stderr = os.Stderr
	return c
}

// checkListed returns an error unless idem list shows n keys that succeeded.
func (l *load) checkListed(ledger string, n int) error {
	out, err := l.callIdem(ledger, "list", "--state", "succeeded").Output()
	if err != nil {
		return fmt.Errorf("idem list: %w", err)
	}
	if got := bytes.Count(out, []byte("\n")); got != n {
		return fmt.Errorf("idem list has %d keys that succeeded, not %d", got, n)
	}
	return nil
}

func lines(path string) []string {
	b, _ := os.ReadFile(path) // it may not exist
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}
