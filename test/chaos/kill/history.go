package kill

import (
	"fmt"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"idem/test/chaos/lab"
)

// check tests each promise separately. This file tests all answers of a key at once. It
// needs an order of all operations in which the model allows every answer. In the order,
// each operation takes effect at one instant between its call and its return.
//
// The library porcupine searches for the order. The model is in model.go. The time of an
// event is its line in the journal.

// decideFor limits the search for an order. Usually it takes milliseconds.
const decideFor = 30 * time.Second

// linearizable returns -1 if the events have such an order. Otherwise it returns the first
// event with which they have none.
func linearizable(p policy, events []lab.Event) (bad int, err error) {
	ok, err := ordered(p, events)
	if ok || err != nil {
		return -1, err
	}
	// If a history has an order, so has each of its beginnings.
	bad = sort.Search(len(events), func(n int) bool {
		ok, undecided := ordered(p, events[:n+1])
		return !ok && undecided == nil
	})
	return min(bad, len(events)-1), nil
}

func ordered(p policy, events []lab.Event) (bool, error) {
	c := &checker{policy: p, events: events}
	m := model{policy: p, alive: c.alive()}
	model := (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{keyState{phase: phaseNever}} },
		Step: func(s, in, _ any) (next []any) {
			for _, n := range m.step(s.(keyState), in.(operation)) {
				next = append(next, n)
			}
			return next
		},
	}).ToModel()
	switch porcupine.CheckOperationsTimeout(model, c.history(), decideFor) {
	case porcupine.Ok:
		return true, nil
	case porcupine.Illegal:
		return false, nil
	}
	return false, fmt.Errorf("no order of the %d events found or excluded in %v", len(events), decideFor)
}

// alive returns the last line at which each run was alive: its command, a worker of
// the command, or an idem that has neither returned nor been killed.
func (c *checker) alive() map[string]int {
	last := map[string]int{}
	for i, e := range c.events {
		switch e.Kind {
		case lab.Started, lab.Worked, lab.Ended:
			last[e.Run] = max(last[e.Run], i)
		}
		if e.Kind == lab.Started && !c.possibleEnds(e.Call, len(c.events)).interrupted &&
			c.next(i, ofCall(lab.Returned, e.Call)) == len(c.events) {
			last[e.Run] = len(c.events)
		}
	}
	return last
}

// history converts the events to operations: two for a call that started a command,
// one for any other.
func (c *checker) history() []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(a operation, from, to int) {
		a.until = to
		ops = append(ops, porcupine.Operation{Input: a, Call: int64(from), Return: int64(to)})
	}
	for i, e := range c.events {
		switch e.Kind {
		case lab.Called:
			c.operationsOf(i, add)
		case lab.MarkRetry, lab.MarkDone, lab.MarkFailed:
			end := c.next(i, func(f lab.Event) bool { return f.Kind == lab.Marked })
			a := operation{kind: opMark, mark: e.Kind, open: end == len(c.events)}
			if !a.open {
				a.code = c.events[end].Code
			}
			add(a, i, end)
		}
	}
	return ops
}

// next returns the index of the first event after an event for which fits is true, or
// len(c.events).
func (c *checker) next(after int, fits func(lab.Event) bool) int {
	for i := after + 1; i < len(c.events); i++ {
		if fits(c.events[i]) {
			return i
		}
	}
	return len(c.events)
}

func ofCall(k lab.Kind, call string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Kind == k && e.Call == call }
}

// operationsOf adds the operations of one call. All of them happen before the call
// returns, even if idem was killed.
func (c *checker) operationsOf(at int, add func(a operation, from, to int)) {
	call := c.events[at].Call
	end := c.next(at, ofCall(lab.Returned, call))
	start := c.next(at, ofCall(lab.Started, call))
	if start == len(c.events) {
		c.withoutStart(at, end, add)
		return
	}
	for i := c.next(start, ofCall(lab.Started, call)); i < len(c.events); i = c.next(start, ofCall(lab.Started, call)) { // only if idem is wrong
		add(operation{kind: opBegin, run: c.events[start].Run}, at, start)
		start = i
	}
	run := c.events[start].Run
	last := min(start, end) // a command may log its start after its idem was killed
	add(operation{kind: opBegin, run: run}, at, last)
	if e := c.next(start, ofCall(lab.Ended, call)); e < end {
		last = e
	}
	a := operation{kind: opFinish, run: run}
	a.ends, a.stays = c.endsOf(call, run, end)
	add(a, last, end)
}

// endsOf returns the states that a call that ran a command may have recorded, and
// whether it may have recorded none.
func (c *checker) endsOf(call, run string, end int) (ends []keyState, stays bool) {
	f := c.possibleEnds(call, end)
	open := end == len(c.events)
	code, reply := 0, ""
	if !open {
		code, reply = c.events[end].Code, c.events[end].Run
	}
	killed := code == -lab.SigKill
	if f.succeeded && (open || killed && f.interrupted || code == 0 && reply == run) {
		ends = append(ends, keyState{phaseSucceeded, run})
	}
	if f.failed && (open || killed || code == commandFails) {
		ends = append(ends, keyState{phaseFailed, run})
	}
	return ends, open || killed && f.interrupted
}

// withoutStart adds the operation of a call whose command did not log a start.
func (c *checker) withoutStart(at, end int, add func(a operation, from, to int)) {
	call := c.events[at].Call
	open := end == len(c.events)
	if !open && c.events[end].Code != -lab.SigKill {
		add(operation{kind: opAnswer, run: c.events[end].Run, code: c.events[end].Code}, at, end)
		return
	}
	a := operation{kind: opCrash}
	f := c.possibleEnds(call, end)
	if open || f.interrupted {
		a.ends = append(a.ends, keyState{phaseRunning, call})
	}
	if open || f.failed {
		a.ends = append(a.ends, keyState{phaseFailed, call})
	}
	add(a, at, end)
}
