package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"idem/ledger"
	"idem/proc"
)

// One process can make several calls, and none changes how another one ends. A
// command that runs after a replay has the default disposition of SIGPIPE.
func TestSeveralCallsInOneProcess(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("IDEM_LEDGER", filepath.Join(dir, "ledger"))
	t.Setenv("IDEM_NAMESPACE", "")
	t.Setenv("IDEM_TRUST_PLACE", "1")
	pipe := []string{"run", "--key", "pipe", "--on-failure", "rerun", "--", "sh", "-c", "kill -PIPE $$; echo alive"}
	for i, c := range []struct {
		args   []string
		want   ending
		fails  bool
		stdout string
	}{
		{pipe, ending{code: 128 + int(syscall.SIGPIPE), signal: syscall.SIGPIPE}, false, ""},
		{[]string{"run", "--key", "k", "--", "echo", "hello"}, ending{}, false, "hello\n"},
		{[]string{"run", "--key", "k", "--", "echo", "hello"}, ending{}, false, "hello\n"}, // a replay
		{pipe, ending{code: 128 + int(syscall.SIGPIPE), signal: syscall.SIGPIPE}, false, ""},
		{[]string{"check", "k"}, ending{}, false, ""},
		{[]string{"check", "pipe"}, ending{code: exitWouldRun}, false, ""},
		{[]string{"run", "--key", "k", "--", "echo", "other"}, ending{code: exitMismatch}, true, ""},
		{[]string{"run", "--key", "k", "--exit-code", "mismatch=3", "--", "echo", "other"}, ending{code: 3}, true, ""},
		{[]string{"run", "--key", "k", "--exit-code", "mismatch=0", "--", "echo", "other"}, ending{}, false, ""},
		{[]string{"run", "--key", "s", "--", "sh", "-c", "exit 7"}, ending{code: 7}, false, ""},
		{[]string{"run", "--key", "-q", "--", "true"}, ending{code: exitUsage}, true, ""},
		{[]string{"run", "--key=-q", "--", "true"}, ending{}, false, ""},
		{[]string{"nonesuch"}, ending{code: exitUsage}, true, ""},
		{[]string{"run", "--key", "k", "--", "echo", "hello"}, ending{}, false, "hello\n"},
	} {
		a := newApp(c.args)
		out, err := os.Create(filepath.Join(dir, "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		a.ui.stdout, a.ui.stderr = out, null
		got := a.execute()
		stdout, _ := os.ReadFile(out.Name())
		if got.code != c.want.code || got.signal != c.want.signal || (got.failure != nil) != c.fails || string(stdout) != c.stdout {
			t.Errorf("call %d, %q: got status %d, signal %v, failure %v, stdout %q; want %d, %v, %v, %q",
				i+1, c.args, got.code, got.signal, got.failure, stdout, c.want.code, c.want.signal, c.fails, c.stdout)
		}
		out.Close()
		null.Close()
	}
}

// A call that a signal ends prints its own failure, unless that is only the end of its context.
func TestSignalWithFailure(t *testing.T) {
	full := &ledger.Error{Place: "/backup", Err: ledger.ErrFull}
	canceled := fmt.Errorf("receive: %w", context.Canceled)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no error":              {nil, ""},
		"canceled":              {context.Canceled, ""},
		"canceled, with a text": {&failure{code: exitLedger, err: canceled}, ""},
		"canceled twice":        {errors.Join(canceled, context.Canceled), ""},
		"canceled backup":       {newApp(nil).copyFailure(&ledger.BackupError{Path: "-", Err: canceled}, "/ledger"), ""},
		"disk full":             {full, full.Error()},
		"a failure":             {&failure{code: exitLedger, err: full}, full.Error()},
		"canceled, disk full":   {errors.Join(canceled, full), errors.Join(canceled, full).Error()},
		"an ending without one": {&ending{code: exitError}, ""},
		"an ending":             {&ending{code: exitError, failure: fail(exitError, "no row")}, "no row"},
	} {
		t.Run(name, func(t *testing.T) {
			end := endingOf(&proc.SignalError{Signal: syscall.SIGTERM, Err: c.err})
			if end.signal != syscall.SIGTERM || end.code != 128+int(syscall.SIGTERM) {
				t.Errorf("got signal %v and status %d, want those of TERM", end.signal, end.code)
			}
			got := ""
			if end.failure != nil {
				got = end.failure.Error()
			}
			if got != c.want {
				t.Errorf("got the failure %q, want %q", got, c.want)
			}
		})
	}
}
