package postgres

import (
	"context"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// takeMutexes takes the mutexes of s in the transaction of Begin, all or none.
func (c *claim) takeMutexes(t *wire.Tx, s ledger.Start) error {
	if len(s.Mutexes) == 0 && c.ticket == 0 && !c.mutex {
		return nil
	}
	panic("mutex")
}

// keepMutexes says that the transaction of takeMutexes was committed.
func (c *claim) keepMutexes(s ledger.Start) {
	if len(s.Mutexes) > 0 {
		c.mutex = true
	}
	c.ticket = 0
}

// leaveMutexes gives places and tickets back when the claim ends. With leftover, processes of
// the last attempt are alive, and keep its places. The caller holds c.mu.
func (c *claim) leaveMutexes(leftover bool) {}

// Queue implements ledger.Claim.
func (c *claim) Queue(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	panic("mutex")
}

// Mutexes implements ledger.Ledger.
func (l *Ledger) Mutexes(ctx context.Context, namespace string, names ...string) ([]ledger.MutexState, error) {
	panic("mutex")
}
