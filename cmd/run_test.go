package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/runner"
)

// If the clock was set back, no record expires, and a warning says so.
func TestClockSetBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		ttl     time.Duration
		started time.Time
		warned  bool
	}{
		"set back":            {time.Hour, now.Add(time.Hour), true},
		"set back, no expiry": {0, now.Add(time.Hour), false},
		"not set back":        {time.Hour, now.Add(-time.Minute), false},
	} {
		rec := ledger.Record{ID: ledger.ID{Key: "k"}, Current: ledger.Attempt{Number: 1, State: ledger.Succeeded, Started: c.started}}
		call := runner.Call{ID: rec.ID, Policy: runner.Policy{TTL: c.ttl}}
		d := runner.Decide(rec, "", call.Policy, runner.Moment{Now: now})
		file := filepath.Join(t.TempDir(), "stderr")
		stderr, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		a := &app{now: func() time.Time { return now }, ui: ui{stderr: stderr}}
		code, f := a.outcome(newRunOptions(), runner.Result{Decision: d, Record: rec}, call)
		stderr.Close()
		text, _ := os.ReadFile(file)
		if code != 0 || f != nil || d.Action != runner.ActionReplay || strings.Contains(string(text), "was set back") != c.warned {
			t.Errorf("%s: got status %d, %v, %v, stderr %q, want a replay and a warning %t", name, code, f, d, text, c.warned)
		}
	}
}
