package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"idem/internal/testkit"
)

// TestDescriptorsUnderLoad starts commands of one Signals while other
// goroutines start commands with a separate Signals or without one, as a batch does for its
// probes. Each command gets its own file, on the same number, and nothing else.
func TestDescriptorsUnderLoad(t *testing.T) {
	testkit.Slow(t, "thousands of commands")
	needsProc(t)
	const script = `[ -e /proc/$$/fd/277 ] && read x </proc/$$/fd/277 && echo "$x"; echo /proc/$$/fd/*`
	list := func(s *Signals, files ...*os.File) string {
		c, rec := command(t, "/bin/sh", "-c", script)
		c.Inherit = files
		if _, err := c.Run(t.Context(), s); err != nil {
			t.Error(err)
		}
		first, rest, _ := strings.Cut(string(rec.bytes(Stdout)), "/proc/")
		fds := []string{strings.TrimSpace(first)}
		for f := range strings.FieldsSeq(rest) {
			fds = append(fds, filepath.Base(f))
		}
		slices.Sort(fds[1:])
		return strings.Join(fds, " ")
	}
	plain := list(nil)
	s := Catch()
	defer s.Stop()
	// starts starts commands with a file until it is not to go on.
	starts := func(i int, goOn func(n int) bool, signals func() (s *Signals, stop func())) {
		name := filepath.Join(t.TempDir(), fmt.Sprint("file", i))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			defer f.Close()
			_, err = fmt.Fprintln(f, name)
		}
		if err != nil {
			t.Error(err)
			return
		}
		with := append(strings.Fields(plain), "277")
		slices.Sort(with)
		want := name + " " + strings.Join(with, " ")
		for n := 0; goOn(n) && !t.Failed(); n++ {
			s, stop := signals()
			if got := list(s, f); got != want {
				t.Errorf("command %d: got %q, want %q", i, got, want)
			}
			stop()
		}
	}
	var load, others sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		load.Go(func() {
			starts(i, func(n int) bool { return n < 300 }, func() (*Signals, func()) { return s, func() {} })
		})
	}
	untilDone := func(int) bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	others.Go(func() { starts(4, untilDone, func() (*Signals, func()) { return nil, func() {} }) })
	others.Go(func() { starts(5, untilDone, func() (*Signals, func()) { s := Catch(); return s, s.Stop }) })
	load.Wait()
	close(done)
	others.Wait()
}
