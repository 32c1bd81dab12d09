package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"idem/scripts/internal/rig"
)

// attempt is a row of the ledger, as the program integrity prints it.
type attempt struct{ Key, Run, State, Reason string }

// ledgerReport is what a fresh process found in ledger.db.
type ledgerReport struct {
	Integrity []string
	Attempts  []attempt
}

// integrity looks at a ledger as a process that has had no part in writing it.
// It leaves no -wal behind.
func (l *lab) integrity(dir string) (r ledgerReport, err error) {
	program := filepath.Join(filepath.Dir(l.dir), "integrity")
	if _, err := os.Stat(program); err != nil {
		_, err := rig.Build("./scripts/chaos/integrity", program)
		must(err)
	}
	out, err := exec.Command(program, filepath.Join(dir, "ledger.db")).Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		return r, fmt.Errorf("ledger.db cannot be read: %w", err)
	}
	if s := strings.Join(r.Integrity, "; "); s != "ok" {
		return r, fmt.Errorf("integrity_check: %s", s)
	}
	return r, nil
}

// inspect holds the ledger against the journals.
func (r *killing) inspect(journals map[string][]event) (spools int) {
	broken := func(format string, args ...any) {
		r.complain(fault{promise: noUnreadable, what: fmt.Sprintf(format, args...), at: -1})
	}
	report, err := r.integrity(r.ledger)
	if err != nil {
		broken("%v", err)
	}
	runs := map[string]bool{}
	latest := map[string]attempt{}
	for _, a := range report.Attempts {
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
func (r *killing) inspectList(latest map[string]attempt, broken func(string, ...any)) {
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
