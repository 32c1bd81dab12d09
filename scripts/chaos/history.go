package main

import (
	"fmt"
	"slices"
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

// phase is what a key can be in.
type phase string

const (
	never     phase = "never run"
	free      phase = "to be run again"
	running   phase = "running" // or interrupted: that is the same, with nobody there
	succeeded phase = "succeeded"
	failed    phase = "failed"
)

// keyState is the model's state: the phase and the latest run, which in
// succeeded is the one whose output is replayed.
type keyState struct {
	phase phase
	run   string
}

// act is one thing done to a key, at one instant.
type act struct {
	kind  actKind
	run   string     // the run that begins or ends; what was replayed
	ends  []keyState // of finish and crash: what there may be afterwards, besides no change
	stays bool       // ... and whether that may be
	mark  kind
	code  int
	until int  // the line before which it happened
	open  bool // nobody knows yet what came of it
}

type actKind string

const (
	begin  actKind = "begin"  // a command was started
	finish actKind = "finish" // and ended
	answer actKind = "answer" // idem ended without starting one
	crash  actKind = "crash"  // it was killed before a command could log its start
	settle actKind = "settle" // idem mark
)

func (a act) String() string {
	return fmt.Sprintf("%s %s%s %d", a.kind, a.run, a.mark, a.code)
}

// machine is the model of one key.
type machine struct {
	policy policy
	alive  map[string]int // the last line of a run's processes: until there it lives
}

// mayBegin tells whether a command may be started in a state: what succeeded is
// final, policy decides about the rest, and nothing may be left of the run before.
func (m machine) mayBegin(s keyState, at int) bool {
	may := map[phase]bool{never: true, free: true, failed: m.policy.rerunFailed, running: m.policy.rerunInterrupted}
	return may[s.phase] && m.gone(s.run, at)
}

// gone tells whether nothing of a run was seen alive at a line or after it.
func (m machine) gone(run string, at int) bool {
	last, seen := m.alive[run]
	return !seen || last < at
}

// step returns the states in which an act may leave the key, none when it cannot
// have happened.
func (m machine) step(s keyState, a act) []keyState {
	stay := []keyState{s}
	may := func(ok bool, next ...keyState) []keyState {
		if ok {
			return next
		}
		return nil
	}
	switch a.kind {
	case begin:
		return may(m.mayBegin(s, a.until), keyState{running, a.run})
	case finish:
		next := a.ends
		if a.stays {
			next = append(slices.Clone(next), s)
		}
		return may(s == keyState{running, a.run}, next...)
	case crash:
		if m.mayBegin(s, a.until) {
			return append(stay, a.ends...)
		}
		return stay
	case settle:
		return m.settle(s, a)
	}
	switch a.code {
	case 0:
		return may(s == keyState{succeeded, a.run}, s)
	case exitBusy:
		return may(s.phase != succeeded, s)
	case exitInterrupted:
		return may(s.phase == running && m.gone(s.run, a.until) && !m.policy.rerunInterrupted, s)
	case exitFailed:
		return may(s.phase == failed && !m.policy.rerunFailed, s)
	}
	return nil
}

// settle is the operator's part: only what nobody runs and what has not
// succeeded can be settled.
func (m machine) settle(s keyState, a act) []keyState {
	made := func() []keyState {
		switch {
		case s.phase == succeeded && a.mark == markDone:
			return []keyState{s}
		case s.phase == succeeded, s.phase == never, s.phase == running && !m.gone(s.run, a.until):
			return nil
		}
		if a.mark == markDone {
			return []keyState{{phase: succeeded}} // without output
		}
		return []keyState{{map[kind]phase{markFailed: failed, markRetry: free}[a.mark], s.run}}
	}
	switch {
	case a.open:
		return append(made(), s)
	case a.code == 0:
		return made()
	case a.code == exitBusy && s.phase != succeeded, a.code == exitUsage && (s.phase == succeeded || s.phase == never):
		return []keyState{s}
	}
	return nil
}

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
	m := machine{policy: p, alive: c.alive()}
	model := (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{keyState{phase: never}} },
		Step: func(s, in, _ any) (next []any) {
			for _, n := range m.step(s.(keyState), in.(act)) {
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
	add := func(a act, from, to int) {
		a.until = to
		ops = append(ops, porcupine.Operation{Input: a, Call: int64(from), Return: int64(to)})
	}
	for i, e := range c.events {
		switch e.kind {
		case called:
			c.actsOf(i, add)
		case markRetry, markDone, markFailed:
			end := c.next(i, func(f event) bool { return f.kind == marked })
			a := act{kind: settle, mark: e.kind, open: end == len(c.events)}
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

// actsOf adds what one call did. Its idem is dead when it has returned, so that
// whatever it did has happened by then, also if it was killed.
func (c *checker) actsOf(at int, add func(a act, from, to int)) {
	call := c.events[at].call
	end := c.next(at, is(returned, call))
	start := c.next(at, is(started, call))
	if start == len(c.events) {
		c.withoutStart(at, end, add)
		return
	}
	for i := c.next(start, is(started, call)); i < len(c.events); i = c.next(start, is(started, call)) { // never, by a good idem
		add(act{kind: begin, run: c.events[start].run}, at, start)
		start = i
	}
	run := c.events[start].run
	last := min(start, end) // a command may come to its log when its idem is dead
	add(act{kind: begin, run: run}, at, last)
	if e := c.next(start, is(ended, call)); e < end {
		last = e
	}
	a := act{kind: finish, run: run}
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
		ends = append(ends, keyState{succeeded, run})
	}
	if f.failed && (open || killed || code == bodyFails) {
		ends = append(ends, keyState{failed, run})
	}
	return ends, open || killed && f.interrupted
}

// withoutStart adds what a call did of whose command nothing was heard.
func (c *checker) withoutStart(at, end int, add func(a act, from, to int)) {
	call := c.events[at].call
	open := end == len(c.events)
	if !open && c.events[end].code != -sigKill {
		add(act{kind: answer, run: c.events[end].run, code: c.events[end].code}, at, end)
		return
	}
	a := act{kind: crash}
	f := c.fate(call, end)
	if open || f.interrupted {
		a.ends = append(a.ends, keyState{running, call})
	}
	if open || f.failed {
		a.ends = append(a.ends, keyState{failed, call})
	}
	add(a, at, end)
}
