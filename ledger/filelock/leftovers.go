package filelock

import (
	"slices"

	"idem/ledger"
)

// Leftovers are the processes of one attempt's command, found by their environment. A
// command may close the descriptors that it inherits. So these processes count when no
// lock is held and the attempt is recorded as running. The zero value has none.
type Leftovers struct {
	runID string
	known []ledger.Process
}

// Alive reports whether a process that Find has found still belongs to the attempt.
func (l *Leftovers) Alive() bool {
	l.known = slices.DeleteFunc(l.known, func(p ledger.Process) bool { return !belongs(p.PID, l.runID) })
	return len(l.known) > 0
}

// Find searches all processes of the host for those of an attempt, and reports whether
// there are any.
func (l *Leftovers) Find(runID string) bool {
	l.runID, l.known = runID, LeftoversOf(runID)
	return len(l.known) > 0
}

// LeftoversOf returns the processes of an attempt, at most five. If it finds none, it
// searches once more. One search can miss a process that forks and ends, or that is in
// the middle of an exec.
func LeftoversOf(runID string) []ledger.Process {
	for range 2 {
		if found := AllLeftovers()[runID]; len(found) > 0 {
			return found
		}
	}
	return nil
}
