package main

import "slices"

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

// deed is one thing done to a key, at one instant.
type deed struct {
	kind  deedKind
	run   string     // the run that begins or ends; what was replayed
	ends  []keyState // of finish and crash: what there may be afterwards, besides no change
	stays bool       // ... and whether that may be
	mark  kind
	code  int
	until int  // the line before which it happened
	open  bool // nobody knows yet what came of it
}

type deedKind string

const (
	didBegin  deedKind = "begin"  // a command was started
	didFinish deedKind = "finish" // and ended
	didAnswer deedKind = "answer" // idem ended without starting one
	didCrash  deedKind = "crash"  // it was killed before a command could log its start
	didSettle deedKind = "settle" // idem mark
)

// keyMachine is the model of one key.
type keyMachine struct {
	policy policy
	alive  map[string]int // the last line of a run's processes: until there it lives
}

// mayBegin tells whether a command may be started in a state: what succeeded is
// final, policy decides about the rest, and nothing may be left of the run before.
func (m keyMachine) mayBegin(s keyState, at int) bool {
	may := map[phase]bool{phaseNever: true, phaseFree: true, phaseFailed: m.policy.rerunFailed, phaseRunning: m.policy.rerunInterrupted}
	return may[s.phase] && m.gone(s.run, at)
}

// gone tells whether nothing of a run was seen alive at a line or after it.
func (m keyMachine) gone(run string, at int) bool {
	last, seen := m.alive[run]
	return !seen || last < at
}

// step returns the states in which a deed may leave the key, none when it cannot
// have happened.
func (m keyMachine) step(s keyState, a deed) []keyState {
	stay := []keyState{s}
	may := func(ok bool, next ...keyState) []keyState {
		if ok {
			return next
		}
		return nil
	}
	switch a.kind {
	case didBegin:
		return may(m.mayBegin(s, a.until), keyState{phaseRunning, a.run})
	case didFinish:
		next := a.ends
		if a.stays {
			next = append(slices.Clone(next), s)
		}
		return may(s == keyState{phaseRunning, a.run}, next...)
	case didCrash:
		if m.mayBegin(s, a.until) {
			return append(stay, a.ends...)
		}
		return stay
	case didSettle:
		return m.settle(s, a)
	}
	switch a.code {
	case 0:
		return may(s == keyState{phaseSucceeded, a.run}, s)
	case exitBusy:
		return may(s.phase != phaseSucceeded, s)
	case exitInterrupted:
		return may(s.phase == phaseRunning && m.gone(s.run, a.until) && !m.policy.rerunInterrupted, s)
	case exitFailed:
		return may(s.phase == phaseFailed && !m.policy.rerunFailed, s)
	}
	return nil
}

// settle is the operator's part: only what nobody runs and what has not
// succeeded can be settled.
func (m keyMachine) settle(s keyState, a deed) []keyState {
	made := func() []keyState {
		switch {
		case s.phase == phaseSucceeded && a.mark == markDone:
			return []keyState{s}
		case s.phase == phaseSucceeded, s.phase == phaseNever, s.phase == phaseRunning && !m.gone(s.run, a.until):
			return nil
		}
		if a.mark == markDone {
			return []keyState{{phase: phaseSucceeded}} // without output
		}
		return []keyState{{map[kind]phase{markFailed: phaseFailed, markRetry: phaseFree}[a.mark], s.run}}
	}
	switch {
	case a.open:
		return append(made(), s)
	case a.code == 0:
		return made()
	case a.code == exitBusy && s.phase != phaseSucceeded, a.code == exitUsage && (s.phase == phaseSucceeded || s.phase == phaseNever):
		return []keyState{s}
	}
	return nil
}
