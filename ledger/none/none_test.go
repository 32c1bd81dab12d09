package none

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger"
)

var id = ledger.ID{Namespace: "default", Key: "k"}

// attempt runs an attempt that writes text to stdout and a line to stderr.
func attempt(t *testing.T, l *Ledger, runID, text string, limit int64) ledger.Attempt {
	t.Helper()
	c, err := l.Claim(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	e, err := c.Begin(t.Context(), ledger.Start{RunID: runID, MaxOutput: limit})
	if err != nil {
		t.Fatal(err)
	}
	e.Write(ledger.Stdout, []byte(text))
	e.Write(ledger.Stderr, []byte("err\n"))
	a, err := e.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3})
	if err != nil || a.State != ledger.Failed || a.ExitCode != 3 || a.OutputBytes != int64(len(text)+4) {
		t.Fatalf("got %+v, %v", a, err)
	}
	return a
}

func replayed(t *testing.T, l *Ledger, runID string) (stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	out, err := l.Output(t.Context(), id, runID)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Replay(files[0], files[1]); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(files[0].Name())
	b, _ := os.ReadFile(files[1].Name())
	return string(a), string(b)
}

// TestNothingIsRemembered checks that an attempt can always run, and that no record or
// output of it can be read afterwards.
func TestNothingIsRemembered(t *testing.T) {
	l := New(false)
	for range 2 {
		if a := attempt(t, l, "run", "out\n", -1); a.Number != 1 || !a.NoOutput || a.Truncated {
			t.Errorf("got %+v", a)
		}
		rec, err := l.Get(t.Context(), id)
		if err != nil || rec.Phase() != ledger.PhaseNone || rec.ID != id {
			t.Errorf("got %+v, %v", rec, err)
		}
		if _, err := l.Output(t.Context(), id, "run"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// TestOutputIsKept checks that with keep, output of any size can be read, also twice.
func TestOutputIsKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, size := range map[string]int{"little": 10, "much": 1 << 20} {
		l := New(true)
		text := strings.Repeat("x", size)
		if a := attempt(t, l, name, text, -1); a.NoOutput || a.Truncated {
			t.Errorf("%s: got %+v", name, a)
		}
		for range 2 {
			if out, err := replayed(t, l, name); out != text || err != "err\n" {
				t.Errorf("%s: got %d bytes, want %d; %q", name, len(out), size, err)
			}
		}
	}
	if a := attempt(t, New(true), "cut", strings.Repeat("x", 1<<20), 1000); !a.Truncated {
		t.Errorf("got %+v", a)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestOutputWithoutATemporaryDirectory checks that a large output is then truncated, and
// that the attempt says so.
func TestOutputWithoutATemporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if a := attempt(t, New(true), "run", strings.Repeat("x", 8<<20), -1); !a.Truncated {
		t.Errorf("got %+v", a)
	}
}

// TestMark checks that the output of a probe can be replayed, even if the output of
// attempts is not kept.
func TestMark(t *testing.T) {
	l := New(false)
	c, err := l.Claim(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Mark(t.Context(), ledger.Mark{State: ledger.Succeeded, Reason: ledger.ReasonProbed, RunID: "mark", Stdout: bytes.NewBufferString("said\n"), MaxOutput: -1})
	if err != nil || a.State != ledger.Succeeded || a.OutputBytes != 5 {
		t.Fatalf("got %+v, %v", a, err)
	}
	if out, _ := replayed(t, l, "mark"); out != "said\n" {
		t.Errorf("got %q", out)
	}
}

// TestMutexesAreFree checks that no mutex is ever held, as no key is.
func TestMutexesAreFree(t *testing.T) {
	l := New(false)
	mutexes := []ledger.Mutex{{Name: "m", Limit: 1}}
	for range 2 {
		c, err := l.Claim(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Queue(t.Context(), mutexes, ledger.Owner{}); err != nil {
			t.Errorf("Queue: got error %v", err)
		}
		if _, err := c.Begin(t.Context(), ledger.Start{RunID: "run", Mutexes: mutexes}); err != nil {
			t.Errorf("Begin: got error %v", err)
		}
		if states, err := l.Mutexes(t.Context(), ""); err != nil || len(states) > 0 {
			t.Errorf("Mutexes: got %+v, %v", states, err)
		}
	}
}
