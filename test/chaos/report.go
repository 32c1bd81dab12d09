package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report checks everything once all is quiet, prints the figures, and returns
// the broken promises as an error.
func (r *killing) report(w io.Writer) error {
	work := time.Since(r.begin)
	r.leftBehind()
	journals := map[string][]event{}
	var sum counts
	var rerun, left int
	disorder := false
	for _, s := range r.subjects {
		events, err := readJournal(s.journalPath())
		if err != nil {
			return err
		}
		journals[s.key] = events
		c, faults := check(s.key, s.policy, events)
		sum.add(c)
		r.faults = append(r.faults, faults...)
		if !disorder { // one is enough: what has no order takes long to search
			if f := r.order(s, events); f != nil {
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
	r.litter()
	spools := r.inspect(journals)

	broken := map[string]int{}
	for _, f := range r.faults {
		broken[f.promise]++
	}
	t := &r.figures
	t.Count("keys", len(r.subjects))
	t.Add("  of them", "%d rerun when interrupted, %d refuse, %d callers each", rerun, len(r.subjects)-rerun, callers)
	t.Count("calls of idem run", sum.calls)
	t.Count("calls of idem list beside them", int(r.lists.Load()))
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

// order checks the history of a key as a whole.
func (r *killing) order(s *subject, events []event) *fault {
	bad, err := linearizable(s.policy, events)
	switch {
	case err != nil:
		return &fault{noDisorder, s.key, err.Error(), -1}
	case bad >= 0:
		return &fault{noDisorder, s.key, fmt.Sprintf("no order explains %q", events[bad]), bad}
	}
	return nil
}

// evidence shows the first faults with what led to them.
func (r *killing) evidence(w io.Writer, journals map[string][]event) {
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
		fmt.Fprintf(w, "\n%s: key %q, %s\n", f.promise, f.key, f.what)
		if f.at < 0 {
			continue
		}
		fmt.Fprintf(w, "its journal, %s:\n", policies[f.key])
		for j := max(0, f.at-lines); j <= f.at; j++ {
			fmt.Fprintf(w, "  %4d %s\n", j, journals[f.key][j])
		}
		if said := r.said(f.key, journals[f.key][f.at]); said != "" {
			fmt.Fprintf(w, "idem said: %s\n", said)
		}
	}
}

// said is what idem wrote to stderr in the last call of a caller, which is the
// one that ended oddly.
func (r *killing) said(key string, e event) string {
	caller, _, ok := strings.Cut(strings.TrimPrefix(e.call, key+"/"), ".")
	if e.kind != returned || e.code == 0 || !ok {
		return ""
	}
	b, _ := os.ReadFile(filepath.Join(r.dir, "calls", key+"."+caller+".err"))
	return strings.TrimSpace(string(b))
}
