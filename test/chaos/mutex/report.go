package mutex

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"idem/test/chaos/lab"
)

// report checks everything after the last call, prints the figures, and returns the
// broken promises as an error.
func (r *mutexTest) report(keys int, seconds float64) error {
	r.checkLeft()
	events, err := lab.ReadJournal(r.journalPath())
	if err != nil {
		return err
	}
	calls, starts := 0, 0
	for i, e := range events {
		switch {
		case e.Kind == lab.Called:
			calls++
		case e.Kind == lab.Started:
			starts++
		case e.Kind == lab.Overlap && e.Run == "key":
			r.fault(noSameKey, i, events)
		case e.Kind == lab.Overlap:
			r.fault(noOverlap, i, events)
		}
	}
	if i := check(events); i >= 0 {
		r.fault(noHistory, i, events)
	}
	if _, err := r.Integrity(r.ledger); err != nil {
		r.fail(noFault, "", "%v", err)
	}
	broken := map[string]int{}
	for _, f := range r.faults {
		broken[f.Promise]++
	}
	t := &r.Figures
	t.Count("keys", keys)
	t.Count("mutexes", 3)
	t.Count("calls of idem run", calls)
	t.Count("calls that may wait", int(r.waits.Load()))
	t.Count("refused calls", int(r.refused.Load()))
	t.Count("starts", starts)
	t.Count("kills", r.kills.total())
	t.Add("  of idem", "%d while its command ran, and %d before", r.kills.idem, r.kills.waiter)
	t.Add("  of the command", "%d, and %d of its process group", r.kills.command, r.kills.group)
	t.Add("  of leftovers", "%d", r.kills.leftover)
	t.Add("seconds", "%.1f", seconds)
	for _, p := range promises {
		t.Count(p, broken[p])
	}
	t.Print(os.Stdout)
	if len(r.faults) == 0 {
		return nil
	}
	for _, f := range r.faults[:min(len(r.faults), 5)] {
		fmt.Printf("\n%s: %s %s\n", f.Promise, f.Key, f.What)
	}
	return fmt.Errorf("%d promises were broken", len(r.faults))
}

// fault reports an event with the events before it.
func (r *mutexTest) fault(promise string, at int, events []lab.Event) {
	const lines = 40
	var b strings.Builder
	for i := max(0, at-lines); i <= at; i++ {
		fmt.Fprintf(&b, "\n  %4d %s", i, events[i])
	}
	r.fail(promise, "", "the journal:%s", b.String())
}

// check returns the first start in the journal at which a mutex had too many holders, or
// -1. A command counts from its start until its end, or until it is about to be killed.
func check(events []lab.Event) int {
	holders := map[string]map[string]int{} // the limits of the holders, by mutex and call
	release := func(call string) {
		for _, held := range holders {
			delete(held, call)
		}
	}
	for i, e := range events {
		switch e.Kind {
		case lab.Ended, lab.KillCommand, lab.KillIdem, lab.Returned:
			release(e.Call)
		case lab.Started:
			for m := range strings.SplitSeq(e.Run, ",") {
				name, text, ok := strings.Cut(m, ":")
				limit := 1
				if ok {
					limit, _ = strconv.Atoi(text)
				}
				if holders[name] == nil {
					holders[name] = map[string]int{}
				}
				held := holders[name]
				held[e.Call] = limit
				for _, other := range held {
					if other != limit || len(held) > limit {
						return i
					}
				}
			}
		}
	}
	return -1
}

// checkLeft waits for the last processes and reports what remains: processes, files,
// locks, and mutexes that are not free.
func (r *mutexTest) checkLeft() {
	for _, p := range r.LeftProcesses() {
		r.fail(noLeft, p.Call, "process %d is still alive", p.PID)
	}
	list := func() {
		if c := r.callIdem(context.Background(), "list", "list", "list", "--mutexes"); c.Code != 0 || c.Stdout() != "" {
			r.fail(noLeft, "", "idem list --mutexes: status %d, %s%s", c.Code, c.Stdout(), c.Stderr())
		}
	}
	list()
	for i, m := range []string{"c", "c:3", "a", "b"} {
		c := r.callIdem(context.Background(), "after", "after", "run", "--key", fmt.Sprint("after:", i), "--mutex", m, "--", "true")
		if c.Code != 0 {
			r.fail(noLeft, "", "mutex %s cannot be taken: status %d, %s", m, c.Code, c.Stderr())
		}
	}
	list()
	for _, what := range lab.LeftFiles(r.ledger, r.tmp()) {
		r.fail(noLeft, "", "%s", what)
	}
}
