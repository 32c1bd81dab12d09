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
	phaseRunning   phase = "running" // interrupted, if no process is alive
	phaseSucceeded phase = "succeeded"
	phaseFailed    phase = "failed"
)

// keyState is the state of the model: the phase and the latest run. In the phase
// succeeded it is the run whose output is replayed.
type keyState struct {
	phase phase
	run   string
}

// operation is one step of a call or a mark that takes effect at one instant.
type operation struct {
	kind  operationKind
	run   string     // the run that begins, ends or is replayed
	ends  []keyState // of finish and crash: the possible states afterwards
	stays bool       // of finish: the state may stay as it is
	mark  lab.Kind
	code  int
	until int  // the line of the journal by which it has happened
	open  bool // the result is not known
}

type operationKind string

const (
	opBegin  operationKind = "begin"  // a command was started
	opFinish operationKind = "finish" // the command ended
	opAnswer operationKind = "answer" // idem ended without the start of a command
	opCrash  operationKind = "crash"  // idem was killed before a command logged its start
	opMark   operationKind = "settle" // idem mark
)

// model has the rules of one key.
type model struct {
	policy policy
	alive  map[string]int // the last line at which each run was alive
}

// mayBegin reports whether a command may be started in a state. A success is final,
// the policy decides about other outcomes, and the previous run must have ended.
func (m model) mayBegin(s keyState, at int) bool {
	may := map[phase]bool{phaseNever: true, phaseFree: true, phaseFailed: m.policy.rerunFailed, phaseRunning: m.policy.rerunInterrupted}
	return may[s.phase] && m.ended(s.run, at)
}

// ended reports whether no process of a run was alive at a line or after it.
func (m model) ended(run string, at int) bool {
	last, seen := m.alive[run]
	return !seen || last < at
}

// step returns the possible states after an operation, none if the operation cannot
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

// mark returns the possible states after idem mark. A key can be marked if it is not
// running and has not succeeded.
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
