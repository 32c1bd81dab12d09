package kill

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"idem/test/chaos/lab"
)

// report checks everything after the last call, prints the figures, and returns
// the broken promises as an error.
func (r *killTest) report(w io.Writer) error {
	work := time.Since(r.begin)
	r.checkLeftProcesses()
	journals := map[string][]lab.Event{}
	var sum counts
	var rerun, left int
	disorder := false
	for _, s := range r.subjects {
		events, err := lab.ReadJournal(s.journalPath())
		if err != nil {
			return err
		}
		journals[s.key] = events
		c, faults := check(s.key, s.policy, events)
		sum.add(c)
		r.faults = append(r.faults, faults...)
		if !disorder { // after the first one, because a search that finds no order is slow
			if f := r.checkOrder(s, events); f != nil {
				r.faults = append(r.faults, *f)
				disorder = true
			}
		}
		if s.policy.rerunInterrupted {
			rerun++
		}
		if s.left.Load() {
			left++
		}
	}
	r.checkLeftFiles()
	spools := r.checkLedger(journals)

	broken := map[string]int{}
	for _, f := range r.faults {
		broken[f.Promise]++
	}
	t := &r.Figures
	t.Count("keys", len(r.subjects))
	t.Add("  of them", "%d rerun when interrupted, %d refuse, %d callers each", rerun, len(r.subjects)-rerun, callers)
	t.Count("calls of idem run", sum.calls)
	t.Count("calls of idem list at the same time", int(r.lists.Load()))
	t.Count("kills", r.kills.total())
	t.Add("  of idem", "%d, and %d at most 40 ms after its start", r.kills.idem.Load(), r.kills.young.Load())
	t.Add("  of the command", "%d", r.kills.command.Load())
	t.Add("  of both", "%d", r.kills.both.Load())
	t.Add("  of leftovers", "%d", r.kills.leftover.Load())
	t.Count("starts", sum.starts)
	t.Count("finishes", sum.finishes)
	t.Count("failures of the command's own", sum.failures)
	t.Add("settled by the operator", "%d, and %d left interrupted", sum.settled, left)
	t.Count("spools kept", spools)
	t.Add("seconds", "%.1f", work.Seconds())
	for _, p := range promises {
		t.Count(p, broken[p])
	}
	t.Print(w)
	if len(r.faults) == 0 {
		return nil
	}
	r.evidence(w, journals)
	var list []string
	for _, p := range slices.Sorted(maps.Keys(broken)) {
		list = append(list, fmt.Sprintf("%d %s", broken[p], p))
	}
	return fmt.Errorf("broken: %s", strings.Join(list, ", "))
}

// checkOrder checks the history of a key with linearizable.
func (r *killTest) checkOrder(s *keyTest, events []lab.Event) *lab.Fault {
	bad, err := linearizable(s.policy, events)
	switch {
	case err != nil:
		return &lab.Fault{Promise: noDisorder, Key: s.key, What: err.Error(), At: -1}
	case bad >= 0:
		return &lab.Fault{Promise: noDisorder, Key: s.key, What: fmt.Sprintf("no order explains %q", events[bad]), At: bad}
	}
	return nil
}

// evidence prints the first faults with the events before them.
func (r *killTest) evidence(w io.Writer, journals map[string][]lab.Event) {
	const shown, lines = 5, 30
	policies := map[string]policy{}
	for _, s := range r.subjects {
		policies[s.key] = s.policy
	}
	for i, f := range r.faults {
		if i == shown {
			fmt.Fprintf(w, "\nand %d more\n", len(r.faults)-shown)
			return
		}
		fmt.Fprintf(w, "\n%s: key %q, %s\n", f.Promise, f.Key, f.What)
		if f.At < 0 {
			continue
		}
		fmt.Fprintf(w, "its journal, %s:\n", policies[f.Key])
		for j := max(0, f.At-lines); j <= f.At; j++ {
			fmt.Fprintf(w, "  %4d %s\n", j, journals[f.Key][j])
		}
		if said := r.stderrOf(f.Key, journals[f.Key][f.At]); said != "" {
			fmt.Fprintf(w, "stderr: %s\n", said)
		}
	}
}

// stderrOf returns the messages of the last call of a caller.
func (r *killTest) stderrOf(key string, e lab.Event) string {
	caller, _, ok := strings.Cut(strings.TrimPrefix(e.Call, key+"/"), ".")
	if e.Kind != lab.Returned || e.Code == 0 || !ok {
		return ""
	}
	b, _ := os.ReadFile(filepath.Join(r.Dir, "calls", key+"."+caller+".err"))
	return strings.TrimSpace(string(b))
}
