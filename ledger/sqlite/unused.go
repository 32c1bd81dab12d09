package sqlite

import (
	"context"

	"idem/ledger"
)

// requireUnused waits for the writers' turn, and returns a *ledger.InUseError if another
// process has a lock of the ledger, or if processes of a command are alive. Until end, no call
// can begin an attempt. A call that takes a claim now waits for its turn, and finds then what
// has become of the ledger.
func (l *Ledger) requireUnused(ctx context.Context) (end func(), err error) {
	return l.unusedBy(func() ([]ledger.ID, error) { return l.running(ctx) })
}

// mostRunning is how many running keys an error names.
const mostRunning = 5

// running returns some of the keys that are running.
func (l *Ledger) running(ctx context.Context) (ids []ledger.ID, err error) {
	for rec, err := range l.List(ctx, ledger.Filter{Phases: ledger.Phases{ledger.PhaseRunning}, Limit: mostRunning}) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, rec.ID)
	}
	return ids, nil
}

func (l *Ledger) unusedBy(running func() ([]ledger.ID, error)) (end func(), err error) {
	t, err := l.takeTurn()
	if err != nil {
		return nil, err
	}
	inUse := &ledger.InUseError{}
	busy, err := l.locks.Busy()
	if err == nil {
		inUse.Running, err = running()
	}
	if err == nil && (busy || len(inUse.Running) > 0) {
		err = inUse
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t.end, nil
}
