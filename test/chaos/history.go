package main

import (
	"fmt"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// check asks for each rule by itself. Here all that the callers of a key were
// told is held against one model at once: is there an order of all that was
// done, in which each thing takes effect at one instant between its call and its
// return, so that the model allows every answer? It is the checker of others
// (porcupine) that looks for the order; what is written here is only what a key
// may do. The time is the order of the journal's lines.

// decideFor is how long the search for an order may take. It takes milliseconds.
const decideFor = 30 * time.Second

// linearizable tells whether there is such an order for the events, and if not,
// the first event up to which there is none.
func linearizable(p policy, events []event) (bad int, err error) {
	ok, err := ordered(p, events)
	if ok || err != nil {
		return -1, err
	}
	// What is true of a history is true of its beginnings.
	bad = sort.Search(len(events), func(n int) bool {
		ok, undecided := ordered(p, events[:n+1])
		return !ok && undecided == nil
	})
	return min(bad, len(events)-1), nil
}

func ordered(p policy, events []event) (bool, error) {
	c := &checker{policy: p, events: events}
	m := keyMachine{policy: p, alive: c.alive()}
	model := (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{keyState{phase: phaseNever}} },
		Step: func(s, in, _ any) (next []any) {
			for _, n := range m.step(s.(keyState), in.(deed)) {
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

// alive returns the last line at which each run was alive: its command, a worker
// of that, or an idem that has neither returned nor been killed.
func (c *checker) alive() map[string]int {
	last := map[string]int{}
	for i, e := range c.events {
		switch e.kind {
		case started, worked, ended:
			last[e.run] = max(last[e.run], i)
		}
		if e.kind == started && !c.fate(e.call, len(c.events)).interrupted &&
			c.next(i, is(returned, e.call)) == len(c.events) {
			last[e.run] = len(c.events)
		}
	}
	return last
}

// history makes operations of the events: of a call that started a command two,
// of others one.
func (c *checker) history() []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(a deed, from, to int) {
		a.until = to
		ops = append(ops, porcupine.Operation{Input: a, Call: int64(from), Return: int64(to)})
	}
	for i, e := range c.events {
		switch e.kind {
		case called:
			c.deedsOf(i, add)
		case markRetry, markDone, markFailed:
			end := c.next(i, func(f event) bool { return f.kind == marked })
			a := deed{kind: didSettle, mark: e.kind, open: end == len(c.events)}
			if !a.open {
				a.code = c.events[end].code
			}
			add(a, i, end)
		}
	}
	return ops
}

// next returns the first event after one that fits, or how many there are.
func (c *checker) next(after int, fits func(event) bool) int {
	for i := after + 1; i < len(c.events); i++ {
		if fits(c.events[i]) {
			return i
		}
	}
	return len(c.events)
}

func is(k kind, call string) func(event) bool {
	return func(e event) bool { return e.kind == k && e.call == call }
}

// deedsOf adds what one call did. Its idem is dead when it has returned, so that
// whatever it did has happened by then, also if it was killed.
func (c *checker) deedsOf(at int, add func(a deed, from, to int)) {
	call := c.events[at].call
	end := c.next(at, is(returned, call))
	start := c.next(at, is(started, call))
	if start == len(c.events) {
		c.withoutStart(at, end, add)
		return
	}
	for i := c.next(start, is(started, call)); i < len(c.events); i = c.next(start, is(started, call)) { // never, by a good idem
		add(deed{kind: didBegin, run: c.events[start].run}, at, start)
		start = i
	}
	run := c.events[start].run
	last := min(start, end) // a command may come to its log when its idem is dead
	add(deed{kind: didBegin, run: run}, at, last)
	if e := c.next(start, is(ended, call)); e < end {
		last = e
	}
	a := deed{kind: didFinish, run: run}
	a.ends, a.stays = c.endsOf(call, run, end)
	add(a, last, end)
}

// endsOf returns what a call that ran a command may have recorded in the end,
// and whether it may have recorded nothing.
func (c *checker) endsOf(call, run string, end int) (ends []keyState, stays bool) {
	f := c.fate(call, end)
	open := end == len(c.events)
	code, reply := 0, ""
	if !open {
		code, reply = c.events[end].code, c.events[end].run
	}
	killed := code == -sigKill
	if f.succeeded && (open || killed && f.interrupted || code == 0 && reply == run) {
		ends = append(ends, keyState{phaseSucceeded, run})
	}
	if f.failed && (open || killed || code == bodyFails) {
		ends = append(ends, keyState{phaseFailed, run})
	}
	return ends, open || killed && f.interrupted
}

// withoutStart adds what a call did of whose command nothing was heard.
func (c *checker) withoutStart(at, end int, add func(a deed, from, to int)) {
	call := c.events[at].call
	open := end == len(c.events)
	if !open && c.events[end].code != -sigKill {
		add(deed{kind: didAnswer, run: c.events[end].run, code: c.events[end].code}, at, end)
		return
	}
	a := deed{kind: didCrash}
	f := c.fate(call, end)
	if open || f.interrupted {
		a.ends = append(a.ends, keyState{phaseRunning, call})
	}
	if open || f.failed {
		a.ends = append(a.ends, keyState{phaseFailed, call})
	}
	add(a, at, end)
}
