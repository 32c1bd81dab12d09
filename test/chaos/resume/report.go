package resume

import (
	"fmt"
	"os"
	"strings"
	"time"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// report checks everything after the last call, prints the figures, and returns the broken
// promises as an error.
func (t *test) report() error {
	seconds := time.Since(t.started).Seconds()
	for _, p := range t.LeftProcesses() {
		t.fail(noLeft, p.Call, "process %d is still alive", p.PID)
	}
	attempts, err := t.Integrity(t.ledger)
	if err != nil {
		t.fail(noFault, "", "%v", err)
	}
	for _, what := range lab.LeftFiles(t.ledger, t.ledger+".none") {
		t.fail(noLeft, "", "%s", what)
	}
	history := map[string][]rig.Attempt{}
	for _, a := range attempts {
		history[a.Key] = append(history[a.Key], a)
	}
	keys, starts, effects, unstarted := 0, 0, 0, 0
	for _, r := range t.finished {
		events, err := lab.ReadJournal(journalOf(r.dir))
		if err != nil {
			return err
		}
		of := map[string][]lab.Event{}
		for _, e := range events {
			of[e.Call] = append(of[e.Call], e)
			if e.Kind == lab.Started {
				starts++
			}
		}
		for _, key := range r.keys() {
			keys++
			n, faults := check(key, of[key], history[key], true)
			effects += n
			unstarted += neverStarted(of[key], history[key])
			if len(faults) == 0 && !ordered(key, events, history[key]) {
				faults = append(faults, lab.Fault{Promise: noOrder, What: "no order explains it"})
			}
			for _, f := range faults {
				t.fail(f.Promise, key, "%s\n%s", f.What, evidence(of[key], history[key]))
			}
		}
	}
	broken := map[string]int{}
	for _, f := range t.faults {
		broken[f.Promise]++
	}
	f := &t.Figures
	f.Count("rounds", int(t.rounds.Load()))
	f.Count("keys", keys)
	f.Count("calls of idem "+t.name, int(t.calls.Load()))
	f.Count("kills", t.kills.total())
	f.Add("  of idem", "%d, and %d together with its commands", t.kills.idem.Load(), t.kills.both.Load())
	f.Add("  of a command", "%d", t.kills.command.Load())
	f.Count("starts", starts)
	f.Count("effects", effects)
	f.Count("interrupted attempts that never started", unstarted)
	f.Count("settled by the operator", int(t.operated.Load()))
	f.Add("seconds", "%.1f", seconds)
	for _, p := range promises {
		f.Count(p, broken[p])
	}
	f.Print(os.Stdout)
	if len(t.faults) > 0 {
		for _, f := range t.faults[:min(len(t.faults), 5)] {
			fmt.Printf("\n%s: key %q, %s\n", f.Promise, f.Key, f.What)
		}
		return fmt.Errorf("%d promises were broken", len(t.faults))
	}
	if n := t.kills.total(); n < t.goal {
		return fmt.Errorf("only %d kills of %d", n, t.goal)
	}
	return nil
}

// evidence returns the journal and the history of a key.
func evidence(events []lab.Event, attempts []rig.Attempt) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	for _, a := range attempts {
		fmt.Fprintf(&b, "  recorded: %s %s %s\n", a.Run, a.State, a.Reason)
	}
	return b.String()
}
