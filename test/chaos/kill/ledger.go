package kill

import (
	"context"
	"fmt"
	"strings"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// checkLedger compares the ledger with the journals and returns the number of files with
// recorded output.
func (r *killTest) checkLedger(journals map[string][]lab.Event) (spools int) {
	broken := func(format string, args ...any) {
		r.fail(lab.Fault{Promise: noUnreadable, What: fmt.Sprintf(format, args...), At: -1})
	}
	attempts, err := r.Integrity(r.ledger)
	if err != nil {
		broken("%v", err)
	}
	runs := map[string]bool{}
	latest := map[string]rig.Attempt{}
	for _, a := range attempts {
		// A mark may repeat the current state.
		if was := latest[a.Key]; was.State == "succeeded" && (a.State != was.State || a.Reason != "marked") {
			r.fail(lab.Fault{Promise: noSecondRun, Key: a.Key, What: fmt.Sprintf("%s (%s) after %s", a.Run, a.State, was.Run), At: -1})
		}
		runs[a.Run] = true
		latest[a.Key] = a
	}
	for key, events := range journals {
		for i, e := range events {
			switch {
			case e.Kind == lab.Started && !runs[e.Run]:
				r.fail(lab.Fault{Promise: noUnknown, Key: key, What: "run " + e.Run, At: i})
			case e.Kind == lab.Returned && e.Code == 0 && latest[key].State != "succeeded":
				r.fail(lab.Fault{Promise: noLoss, Key: key, What: fmt.Sprintf("call %s succeeded, the ledger says %q", e.Call, latest[key].State), At: i})
			}
		}
	}
	r.checkList(latest, broken)
	return r.checkSpools(runs)
}

// checkList compares idem list with the ledger when no call is running.
func (r *killTest) checkList(latest map[string]rig.Attempt, broken func(string, ...any)) {
	c := r.callIdem(context.Background(), "list", "list", "list")
	lines := strings.Split(strings.TrimSpace(c.Stdout()), "\n")
	if c.Code != 0 || len(lines) != len(latest) {
		broken("idem list: status %d, %d lines for %d keys: %s", c.Code, len(lines), len(latest), c.Stderr())
		return
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) < 2 {
			broken("idem list: bad line %q", line)
			continue
		}
		// Marked to run again, and no call followed.
		want := map[string]string{"running": "interrupted", "": "retry"}[latest[f[0]].State]
		if want == "" {
			want = latest[f[0]].State
		}
		if f[1] != want {
			broken("idem list: key %s is %s, its latest attempt is %q", f[0], f[1], latest[f[0]].State)
		}
	}
}
