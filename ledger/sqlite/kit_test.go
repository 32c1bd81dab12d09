package sqlite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger"
)

var (
	theKey  = ledger.ID{Namespace: "default", Key: "k"}
	success = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
	failure = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3}
)

// few reduces the rounds of a random test, because each round costs many fsyncs. It has no
// effect if -rapid.checks is set.
func few(t *testing.T, rounds int) {
	f := flag.Lookup("rapid.checks")
	if f.Value.String() == f.DefValue {
		must(t, f.Value.Set(fmt.Sprint(rounds)))
		t.Cleanup(func() { must(t, f.Value.Set(f.DefValue)) })
	}
}

// opened returns a handle that is closed at the end of the test.
func opened(t testing.TB, place string) *Ledger {
	t.Helper()
	l, err := Open(place)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// fresh returns a path without a ledger.
func fresh(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger") }

// run executes id once.
func run(l *Ledger, id ledger.ID, runID string, out []byte, o ledger.Outcome) (ledger.Attempt, error) {
	c, err := l.Claim(context.Background(), id)
	if err != nil {
		return ledger.Attempt{}, err
	}
	defer c.Release()
	e, err := c.Begin(context.Background(), ledger.Start{
		RunID: runID, Fingerprint: "h1:f", Inputs: []byte("inputs"), MaxOutput: -1,
		Owner: ledger.Owner{Host: "host", PID: 4711, User: "user"},
	})
	if err != nil {
		return ledger.Attempt{}, err
	}
	e.Write(ledger.Stdout, out)
	return e.Finish(context.Background(), o)
}

func runs(t testing.TB, l *Ledger, id ledger.ID, runID string, out []byte, o ledger.Outcome) ledger.Attempt {
	t.Helper()
	a, err := run(l, id, runID, out, o)
	must(t, err)
	return a
}

// made returns the path of a closed ledger. In it, theKey failed and then succeeded with a
// large output, and another key succeeded with a small one.
func made(t testing.TB) string {
	t.Helper()
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r1", []byte("failed\n"), failure)
	runs(t, l, theKey, "r2", large, success)
	filed := success
	filed.Files = []ledger.File{{Name: "GITHUB_OUTPUT", Content: []byte("a=1\n")}, {Name: "log", Place: 1, Lost: true}}
	runs(t, l, ledger.ID{Namespace: "prod", Key: "small", Window: "2026-11-22"}, "r3", []byte("small\n"), filed)
	must(t, l.Close())
	return place
}

var large = []byte(strings.Repeat("a line of output\n", 4<<10))

// cloned copies a ledger and returns the path of the copy. It omits the -shm, which SQLite
// creates again.
func cloned(t testing.TB, place string) string {
	t.Helper()
	to := fresh(t)
	err := filepath.WalkDir(place, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) == ".db-shm" {
			return err
		}
		target := to + strings.TrimPrefix(path, place)
		if d.IsDir() {
			return os.Mkdir(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	must(t, err)
	return to
}

// outputOf returns a recorded output.
func outputOf(l *Ledger, id ledger.ID, runID string) (string, error) {
	o, err := l.Output(context.Background(), id, runID)
	if err != nil {
		return "", err
	}
	defer o.Close()
	if err := o.Replay(nil, nil); err != nil { // verifies the whole output
		return "", err
	}
	o, err = l.Output(context.Background(), id, runID)
	if err != nil {
		return "", err
	}
	defer o.Close()
	var b strings.Builder
	for {
		c, err := o.Next()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		b.Write(c.Bytes)
	}
}

// Every list of a few attempts has several pages.
func init() { historyPage, keysPage = 3, 2 }
