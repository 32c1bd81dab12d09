package filelock

import (
	"slices"
	"sync"

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

// SearchOnce returns a function that reports whether an attempt has processes. Its first call
// searches twice, as LeftoversOf does. Further calls use what was found then.
func SearchOnce() func(runID string) bool {
	search := sync.OnceValue(func() [2]map[string][]ledger.Process {
		return [2]map[string][]ledger.Process{AllLeftovers(), AllLeftovers()}
	})
	return func(runID string) bool { found := search(); return len(found[0][runID])+len(found[1][runID]) > 0 }
}

// Ended returns a function that reports whether an attempt has no process any more.
func Ended(runID string) func() (bool, error) {
	var found Leftovers
	return func() (bool, error) { return !found.Alive() && !found.Find(runID), nil }
}

// Unlocked returns a function that reports whether a lock is no longer held.
func Unlocked(s Space, n Name, k Kind) func() (bool, error) {
	return func() (bool, error) {
		held, err := s.Held(n, k)
		return !held, err
	}
}

// AnyOf returns a function that reports whether one of several functions does. It ends at the
// first error.
func AnyOf(each []func() (bool, error)) func() (bool, error) {
	return func() (bool, error) {
		for _, f := range each {
			if is, err := f(); is || err != nil {
				return is, err
			}
		}
		return false, nil
	}
}
