package sqlite

import (
	"context"
	"slices"

	"idem/ledger"
)

// leftOf returns the processes that an attempt has. Where it finds none it looks
// again: one that forks and ends, or that is just calling exec, can be missed
// once.
func leftOf(runID string) []ledger.Process {
	for range 2 {
		if found := processesOf()[runID]; len(found) > 0 {
			return found
		}
	}
	return nil
}

// leftovers are the processes of an attempt that no claim holds and whose
// descriptors hold no lock. All processes are looked at only where none of those
// that are known is left.
type leftovers struct {
	runID string
	known []ledger.Process
}

// alive reports whether there are any of id's current attempt.
func (s *leftovers) alive(ctx context.Context, l *Ledger, id ledger.ID) (bool, error) {
	s.known = slices.DeleteFunc(s.known, func(p ledger.Process) bool { return !belongs(p.PID, s.runID) })
	if len(s.known) > 0 {
		return true, nil
	}
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return false, err
	}
	r, a, err := readBoth(ctx, db, id)
	if err != nil || r.rec.Current.State != ledger.Running {
		return false, err
	}
	s.runID = a.a.RunID
	s.known = leftOf(s.runID)
	return len(s.known) > 0, nil
}
