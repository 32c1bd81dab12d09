package postgres

import (
	"context"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// doneBy returns the column done of a child whose current attempt is a.
func (r *record) doneBy(a ledger.Attempt) int64 {
	if r.parent == nil || a.State != ledger.Succeeded {
		return 0
	}
	panic("family")
}

func (c *claim) doneBy(a ledger.Attempt) int64 {
	return c.now.own.doneBy(a)
}

// renew begins a new series of a locked record. The caller stores it. The error is a
// *ledger.BusyError when a record below is alive.
func (l *Ledger) renew(t *wire.Tx, r *record) error { panic("family") }

// adopt makes the locked record f.own a child of o.Parent, if there is one, and locks the parent
// against a new series. It creates a missing row of the parent. The caller stores f.own.
func (l *Ledger) adopt(t *wire.Tx, f *family, o ledger.Origin) error { panic("family") }

// forget drops the history of a locked record and begins a new series. The caller stores it.
func (l *Ledger) forget(t *wire.Tx, r *record) error { panic("family") }

// dropHistory deletes attempts, outputs and files of a record.
func (l *Ledger) dropHistory(t *wire.Tx, name []byte) error { panic("family") }

// Adopt implements ledger.Claim.
func (c *claim) Adopt(ctx context.Context, o ledger.Origin) error { panic("family") }
