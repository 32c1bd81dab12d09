package cmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/runner"
)

// linesOf returns a failure as it is printed, for a call whose IDEM_LEDGER is env.
func linesOf(f *failure, env string) string {
	u := ui{flagsPlace: "to the call", ledgerPath: func() ledgerPath {
		return ledgerPath{homeDir: "/home/u", getenv: func(name string) string {
			if name == "IDEM_LEDGER" {
				return env
			}
			return ""
		}}
	}}
	lines := append([]string{f.Error()}, f.details...)
	for _, h := range f.hints {
		lines = append(lines, "hint: "+u.hintText(h))
	}
	return strings.Join(lines, "\n")
}

const secretURL = "postgres://ci:secret@db/ops?sslmode=require"

// on returns a record that another host has run for a minute.
func on(l ledger.Lease) ledger.Record {
	l.Host, l.PID, l.Elsewhere = "web-3", 4711, true
	return ledger.Record{ID: ledger.ID{Namespace: "default", Key: "k"}, Alive: !l.Expired(), Lease: &l, Current: ledger.Attempt{
		Number: 1, RunID: "r", State: ledger.Running, Started: time.Date(2026, 11, 29, 12, 3, 11, 0, time.UTC), Owner: ledger.Owner{Host: "web-3", PID: 4711, User: "ci"},
	}}
}

// TestMessagesAboutLeases checks the messages about a key that another host holds.
func TestMessagesAboutLeases(t *testing.T) {
	call := runner.Call{ID: ledger.ID{Namespace: "default", Key: "k"}}
	ended := ledger.Lease{Silent: 192 * time.Second, Left: -12 * time.Second}
	kept := ended
	kept.Keep = true
	begun := on(ledger.Lease{Silent: time.Second, Left: time.Minute})
	begun.Current = ledger.Attempt{}
	lost := &ledger.UnsentError{Path: "/var/lib/idem/shared/6f1c/pending/0198", Err: fmt.Errorf("%w for 2m32s", ledger.ErrUnreachable)}
	for name, c := range map[string]struct {
		f    *failure
		want []string
		not  []string
		code int
	}{
		"running": {busyFailure(on(ledger.Lease{Silent: 4 * time.Second, Left: time.Minute}), false, nil, call), []string{
			`key "k" is running on web-3 (pid 4711, since 12:03:11, lease renewed 4s ago)`, "by ci@web-3 (pid 4711)", "hint: to wait for it and share its result, add to the call: --wait",
		}, nil, 75},
		"starting": {busyFailure(begun, false, nil, call), []string{`key "k" is held by a call on web-3 that starts`}, nil, 75},
		"interrupted": {interruptedFailure(runner.Result{Record: on(ended)}, call), []string{
			`key "k" was interrupted: web-3 has not been heard of for 3m12s`, "its command may still run there", "hint: look on web-3 first; then settle the key",
			`mark done --ledger 'postgres://ci@db/ops?sslmode=require' k`, "--on-interrupted rerun",
		}, nil, 79},
		"kept": {interruptedFailure(runner.Result{Record: on(kept)}, call), []string{
			"--on-lost keep lets it run", "mark retry",
		}, []string{"--on-interrupted", "--probe"}, 79},
		"kept by an error": {failureOf(&ledger.KeptError{ID: call.ID, Record: on(kept)}), []string{"has not been heard of for 3m12s"}, []string{"--on-interrupted"}, 79},
		"ended": {unsentFailure(runner.Result{Unrecorded: lost, LeaseLost: true}, call), []string{
			`the command of key "k" was ended, because its lease could not be renewed`, "cannot reach the ledger for 2m32s",
			`its outcome is kept in "/var/lib/idem/shared/6f1c/pending/0198", and sent by the next call on this host`,
			"hint: to send it now: idem ledger sync 'postgres://ci@db/ops?sslmode=require'",
		}, []string{"mark"}, 125},
		"taken over": {unsentFailure(runner.Result{Unrecorded: fmt.Errorf("%w (run r)", ledger.ErrLost)}, call), []string{
			"another run has taken the key over (run r)", "hint: to see the state of the key",
		}, []string{"mark done"}, 125},
		"failed over": {failureOf(&ledger.Error{Place: "postgres://ci@db/ops", Err: fmt.Errorf("%w (timeline 3, confirmed: 2)", ledger.ErrFailedOver)}), []string{
			"the database was promoted or restored (timeline 3, confirmed: 2)", "nothing new is started", "idem ledger confirm 'postgres://ci@db/ops?sslmode=require'",
		}, nil, 69},
		"unreachable": {failureOf(&ledger.Error{Place: "postgres://ci@db/ops", Err: fmt.Errorf("%w: connection refused", ledger.ErrUnreachable)}), []string{"cannot reach the ledger postgres://ci@db/ops: connection refused", "idem ledger check "}, nil, 69},
		"not created": {failureOf(&ledger.Error{Place: "postgres://ci@db/ops", Err: ledger.ErrMissing}), []string{"idem ledger init "}, nil, 69},
		"damaged":     {failureOf(&ledger.Error{Place: "postgres://ci@db/ops", Err: ledger.ErrCorrupt}), []string{"restore the database"}, []string{"mv ", "directory"}, 69},
	} {
		got := linesOf(c.f, secretURL)
		if c.f.code != c.code || strings.Contains(got, "secret") {
			t.Errorf("%s: got status %d and\n%s\nwant %d and no password", name, c.f.code, got, c.code)
		}
		for _, text := range c.want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: got\n%s\nwant %q in it", name, got, text)
			}
		}
		for _, text := range c.not {
			if strings.Contains(got, text) {
				t.Errorf("%s: got\n%s\nwant no %q in it", name, got, text)
			}
		}
	}
	if f := unsentFailure(runner.Result{Unrecorded: errors.New("disk")}, call); f != nil {
		t.Errorf("an error of a local ledger: got %v, want none", f)
	}
}

// TestDirectoryHintsOfSharedLedgers checks that a fault of the directory on this host does
// not lead to another ledger.
func TestDirectoryHintsOfSharedLedgers(t *testing.T) {
	fault := &ledger.Fault{Kind: ledger.FaultOpen, Is: ledger.ErrUnsafe, Path: "/x/shared", Text: "open", Content: ledger.ContentOther, Within: ledger.WithinYes}
	got := linesOf(failureOf(&ledger.Error{Place: "/x/shared/6f1c", Err: fault}), secretURL)
	if !strings.Contains(got, "hint: set STATE_DIRECTORY to ") || strings.Contains(got, "--ledger") {
		t.Errorf("got\n%s\nwant a hint about STATE_DIRECTORY and none about --ledger", got)
	}
}

// TestCommandPlace checks the IDEM_LEDGER of a command.
func TestCommandPlace(t *testing.T) {
	const canonical = "postgres://u@h:5432/d"
	for _, c := range []struct{ flag, env, want string }{
		{"", "postgres://u:p@h/d", "postgres://u:p@h/d"},
		{"", "postgres://u@h/d", canonical},
		{"postgres://u@h/d", "", canonical},
		{"postgres://u@h/d", "postgres://u:p@h/d", "postgres://u:p@h/d"},
		{"postgres://u@h/d", "postgres://u:p@other/d", canonical},
	} {
		t.Setenv("IDEM_LEDGER", c.env)
		if got := commandPlace(c.flag, canonical); got != c.want {
			t.Errorf("--ledger %q with IDEM_LEDGER=%q: got %q, want %q", c.flag, c.env, got, c.want)
		}
		if got := commandPlace("/dir", "/dir"); got != "/dir" {
			t.Errorf("--ledger /dir: got %q, want /dir", got)
		}
	}
}
