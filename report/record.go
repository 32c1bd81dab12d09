package report

import (
	"slices"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// record is a key with its record, as far as the walk has met its current attempt.
type record struct {
	id      ledger.ID
	lane    int
	state   State
	below   bool
	current *current // of a key that did not succeed, or that has a note
}

// current is what a report needs of the current attempt of a key.
type current struct {
	number, exit, signal int
	runID, host, note    string
	started, ended       time.Time
	bytes                int64 // of output
	noOutput             bool
	silent               *ledger.Lease // of an attempt on another host
}

func currentOf(rec *ledger.Record) *current {
	at := rec.Current
	c := &current{
		number: at.Number, exit: at.ExitCode, signal: at.Signal, runID: at.RunID, host: at.Owner.Host, note: at.Note,
		started: at.Started, ended: at.Ended, bytes: at.OutputBytes, noOutput: at.NoOutput,
	}
	if l := rec.Lease; l != nil && l.Elsewhere {
		c.silent = l
	}
	return c
}

// takeEarlier notes a run before the range.
func (c *collector) takeEarlier(run jobs.Run) {
	c.succeededAt(run)
	c.recur(run)
	if run.Record == nil {
		return
	}
	k := record{id: run.ID}
	k.set(run.Record)
	if k.failed() || k.open() {
		c.before = append(c.before, k)
	}
	if len(c.before) > 2*maxFailed {
		c.before = c.withoutOldest(c.before, func(int) bool { return false })
	}
}

func (r *record) set(rec *ledger.Record) {
	r.state, r.below = stateOfRecord(*rec), rec.Parent != ledger.ID{}
	if r.state != succeeded || rec.Current.Note != "" {
		r.current = currentOf(rec)
	}
}

func (r *record) failed() bool { return r.state == failed || r.state == timeout }

// open reports whether the key is running or interrupted.
func (r *record) open() bool { return r.state == running || r.state == interrupted }

// maxFailed is how many keys without runs in the page are kept, besides those that are open.
const maxFailed = 5000

// withoutOldest returns a list without keys that nothing needs. It keeps those for which keep
// returns true, and those that are running or interrupted. The newest maxFailed
// of the other failures stay too. It counts the failed keys that it leaves out.
func (c *collector) withoutOldest(list []record, keep func(i int) bool) []record {
	var starts []time.Time
	spare := func(i int) bool { return !keep(i) && !list[i].open() }
	for i := range list {
		if spare(i) && list[i].current != nil {
			starts = append(starts, list[i].current.started)
		}
	}
	var oldest time.Time
	if len(starts) > maxFailed {
		slices.SortFunc(starts, func(a, b time.Time) int { return b.Compare(a) })
		oldest = starts[maxFailed-1]
	}
	kept := make([]record, 0, len(list))
	for i, k := range list {
		if spare(i) && (k.current == nil || k.current.started.Before(oldest)) {
			if k.current != nil && k.failed() && !c.overcome(&k) {
				c.forgotten++
			}
			continue
		}
		kept = append(kept, k)
	}
	return kept
}
