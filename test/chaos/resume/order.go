package resume

import (
	"time"

	"github.com/anishathalye/porcupine"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// check tests each promise separately. This file tests all answers about a key at once. It
// needs an order of all operations in which the model allows each of them. In the order,
// each operation takes effect at one instant between its begin and its end. The time of an
// event is its line in the journal.

// decideFor limits the search for an order. Usually it takes less than a millisecond.
const decideFor = 10 * time.Second

// keyState is the state of the model: the phase and the latest run.
type keyState struct {
	phase phase
	run   string
}

type phase string

const (
	phaseNever     phase = "never run"
	phaseFree      phase = "to be run again"
	phaseRunning   phase = "running" // interrupted, if idem has not recorded its end
	phaseSucceeded phase = "succeeded"
	phaseFailed    phase = "failed"
)

// operation is something that takes effect at one instant.
type operation struct {
	kind lab.Kind // Started, Ended, Returned, MarkRetry or MarkDone
	run  string
	next phase // of Ended: the recorded outcome
}

// step returns the state after an operation. ok is false if it cannot have happened.
func (s keyState) step(o operation) (next keyState, ok bool) {
	switch o.kind {
	case lab.Started:
		return keyState{phaseRunning, o.run}, s.phase == phaseNever || s.phase == phaseFree || s.phase == phaseFailed
	case lab.Ended:
		return keyState{o.next, o.run}, s == keyState{phaseRunning, o.run}
	case lab.MarkRetry:
		return keyState{phaseFree, s.run}, s.phase == phaseRunning || s.phase == phaseFailed || s.phase == phaseFree
	case lab.MarkDone:
		if s.phase == phaseSucceeded {
			return s, true
		}
		return keyState{phaseSucceeded, ""}, s.phase != phaseNever
	}
	// An answer: the key is done, or it is done by the run that the value names.
	return s, s.phase == phaseSucceeded && (o.run == "" || o.run == s.run || s.run == "")
}

// ordered reports whether the history of a key has an order. The events are those of the
// key and of all calls of its round, in the order of the journal.
func ordered(key string, events []lab.Event, attempts []rig.Attempt) bool {
	model := porcupine.Model{
		Init: func() any { return keyState{phase: phaseNever} },
		Step: func(s, in, _ any) (bool, any) {
			next, ok := s.(keyState).step(in.(operation))
			return ok, next
		},
	}
	ok := porcupine.CheckOperationsTimeout(model, history(key, events, attempts), decideFor)
	return ok != porcupine.Illegal
}

// history converts the events of a key to operations.
func history(key string, events []lab.Event, attempts []rig.Attempt) (ops []porcupine.Operation) {
	add := func(o operation, from, to int) {
		ops = append(ops, porcupine.Operation{Input: o, Call: int64(2 * from), Return: int64(2*to + 1)})
	}
	recorded := map[string]rig.Attempt{}
	for _, a := range attempts {
		recorded[a.Run] = a
	}
	end := func(a rig.Attempt, from, to int) {
		switch {
		case a.State == "succeeded":
			add(operation{kind: lab.Ended, run: a.Run, next: phaseSucceeded}, from, to)
		case failed(a):
			add(operation{kind: lab.Ended, run: a.Run, next: phaseFailed}, from, to)
		}
	}
	began := map[string]int{} // the begin of a call or a mark
	nextStart := func(after int) int {
		for i := after + 1; i < len(events); i++ {
			if events[i].Kind == lab.Started && events[i].Call == key {
				return i
			}
		}
		return len(events)
	}
	for i, e := range events {
		begin, called := began[e.Call]
		switch {
		case e.Kind == lab.Called:
			began[e.Call] = i
		case e.Kind == lab.Returned && e.Call != key && called && e.Code == 0: // a call that found everything done
			add(operation{kind: lab.Returned}, begin, i)
		case e.Call != key:
		case e.Kind == lab.Started:
			add(operation{kind: lab.Started, run: e.Run}, 0, i)
			end(recorded[e.Run], i, nextStart(i))
			delete(recorded, e.Run)
		case e.Kind == lab.Returned: // the value of a step
			add(operation{kind: lab.Returned, run: e.Run}, 0, i)
		case e.Kind == lab.MarkRetry, e.Kind == lab.MarkDone:
			began[key] = i
		case e.Kind == lab.Marked && e.Code == 0:
			add(operation{kind: events[begin].Kind}, begin, i)
		}
	}
	for _, a := range recorded { // idem or the command was killed before the command logged its start
		if a.Reason != "marked" {
			add(operation{kind: lab.Started, run: a.Run}, 0, len(events))
			end(a, 0, len(events))
		}
	}
	return ops
}
