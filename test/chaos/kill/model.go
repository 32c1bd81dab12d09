package kill

import (
	"slices"

	"idem/test/chaos/lab"
)

// phase is what a key can be in.
type phase string

const (
	phaseNever     phase = "never run"
	phaseFree      phase = "to be run again"
	phaseRunning   phase = "running" // or interrupted: that is the same, with nobody there
	phaseSucceeded phase = "succeeded"
	phaseFailed    phase = "failed"
)

// keyState is the model's state: the phase and the latest run, which in
// succeeded is the one whose output is replayed.
type keyState struct {
	phase phase
	run   string
}

// operation is one thing done to a key, at one instant.
type operation struct {
	kind  operationKind
	run   string     // the run that begins or ends; what was replayed
	ends  []keyState // of finish and crash: what there may be afterwards, besides no change
	stays bool       // ... and whether that may be
	mark  lab.Kind
	code  int
	until int  // the line before which it happened
	open  bool // nobody knows yet what came of it
}

type operationKind string

const (
	opBegin  operationKind = "begin"  // a command was started
	opFinish operationKind = "finish" // and ended
	opAnswer operationKind = "answer" // idem ended without starting one
	opCrash  operationKind = "crash"  // it was killed before a command could log its start
	opMark   operationKind = "settle" // idem mark
)

// model is the model of one key.
type model struct {
	policy policy
	alive  map[string]int // the last line of a run's processes: until there it lives
}

// mayBegin tells whether a command may be started in a state: what succeeded is
// final, policy decides about the rest, and nothing may be left of the run before.
func (m model) mayBegin(s keyState, at int) bool {
	may := map[phase]bool{phaseNever: true, phaseFree: true, phaseFailed: m.policy.rerunFailed, phaseRunning: m.policy.rerunInterrupted}
	return may[s.phase] && m.ended(s.run, at)
}

// ended tells whether nothing of a run was seen alive at a line or after it.
func (m model) ended(run string, at int) bool {
	last, seen := m.alive[run]
	return !seen || last < at
}

// step returns the states in which a deed may leave the key, none when it cannot
// have happened.
func (m model) step(s keyState, a operation) []keyState {
	stay := []keyState{s}
	may := func(ok bool, next ...keyState) []keyState {
		if ok {
			return next
		}
		return nil
	}
	switch a.kind {
	case opBegin:
		return may(m.mayBegin(s, a.until), keyState{phaseRunning, a.run})
	case opFinish:
		next := a.ends
		if a.stays {
			next = append(slices.Clone(next), s)
		}
		return may(s == keyState{phaseRunning, a.run}, next...)
	case opCrash:
		if m.mayBegin(s, a.until) {
			return append(stay, a.ends...)
		}
		return stay
	case opMark:
		return m.mark(s, a)
	}
	switch a.code {
	case 0:
		return may(s == keyState{phaseSucceeded, a.run}, s)
	case lab.ExitBusy:
		return may(s.phase != phaseSucceeded, s)
	case lab.ExitInterrupted:
		return may(s.phase == phaseRunning && m.ended(s.run, a.until) && !m.policy.rerunInterrupted, s)
	case lab.ExitFailed:
		return may(s.phase == phaseFailed && !m.policy.rerunFailed, s)
	}
	return nil
}

// mark is the operator's part: only what nobody runs and what has not
// succeeded can be settled.
func (m model) mark(s keyState, a operation) []keyState {
	made := func() []keyState {
		switch {
		case s.phase == phaseSucceeded && a.mark == lab.MarkDone:
			return []keyState{s}
		case s.phase == phaseSucceeded, s.phase == phaseNever, s.phase == phaseRunning && !m.ended(s.run, a.until):
			return nil
		}
		if a.mark == lab.MarkDone {
			return []keyState{{phase: phaseSucceeded}} // without output
		}
		return []keyState{{map[lab.Kind]phase{lab.MarkFailed: phaseFailed, lab.MarkRetry: phaseFree}[a.mark], s.run}}
	}
	switch {
	case a.open:
		return append(made(), s)
	case a.code == 0:
		return made()
	case a.code == lab.ExitBusy && s.phase != phaseSucceeded, a.code == lab.ExitUsage && (s.phase == phaseSucceeded || s.phase == phaseNever):
		return []keyState{s}
	}
	return nil
}
