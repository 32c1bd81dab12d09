package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"idem/test/internal/rig"
)

// integrity returns the attempts of a ledger that nobody uses.
func (l *lab) integrity(dir string) ([]rig.Attempt, error) {
	return rig.Integrity(filepath.Dir(l.dir), dir)
}

// inspect holds the ledger against the journals.
func (r *killing) inspect(journals map[string][]event) (spools int) {
	broken := func(format string, args ...any) {
		r.complain(fault{promise: noUnreadable, what: fmt.Sprintf(format, args...), at: -1})
	}
	attempts, err := r.integrity(r.ledger)
	if err != nil {
		broken("%v", err)
	}
	runs := map[string]bool{}
	latest := map[string]rig.Attempt{}
	for _, a := range attempts {
		// A mark may say again what is so.
		if was := latest[a.Key]; was.State == "succeeded" && (a.State != was.State || a.Reason != "marked") {
			r.complain(fault{noSecondRun, a.Key, fmt.Sprintf("%s (%s) after %s", a.Run, a.State, was.Run), -1})
		}
		runs[a.Run] = true
		latest[a.Key] = a
	}
	for key, events := range journals {
		for i, e := range events {
			switch {
			case e.kind == started && !runs[e.run]:
				r.complain(fault{noUnknown, key, "run " + e.run, i})
			case e.kind == returned && e.code == 0 && latest[key].State != "succeeded":
				r.complain(fault{noLoss, key, fmt.Sprintf("call %s succeeded, the ledger says %q", e.call, latest[key].State), i})
			}
		}
	}
	r.inspectList(latest, broken)
	return r.inspectSpools(runs)
}

// inspectList asks idem itself, once nobody is there any more.
func (r *killing) inspectList(latest map[string]rig.Attempt, broken func(string, ...any)) {
	c := r.call(context.Background(), "list", "list", "list")
	lines := strings.Split(strings.TrimSpace(c.stdout()), "\n")
	if c.code != 0 || len(lines) != len(latest) {
		broken("idem list: status %d, %d lines for %d keys: %s", c.code, len(lines), len(latest), c.stderr())
		return
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) < 2 {
			broken("idem list: bad line %q", line)
			continue
		}
		// Marked to run again, and nobody came.
		want := map[string]string{"running": "interrupted", "": "retry"}[latest[f[0]].State]
		if want == "" {
			want = latest[f[0]].State
		}
		if f[1] != want {
			broken("idem list: key %s is %s, its latest attempt is %q", f[0], f[1], latest[f[0]].State)
		}
	}
}
