package postgres

import (
	"context"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// Forget implements ledger.Ledger. One commit forgets the record and all records below it.
// Then the rows of those below are deleted piece by piece. A kill in between leaves stale
// rows, which a further Forget deletes.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error {
	return l.forgetAll(ctx, id, func(*wire.Tx, *record) error { return nil })
}

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(ctx context.Context, was ledger.Record) error {
	return l.forgetAll(ctx, was.ID, asItWas(was))
}

// asItWas accepts a record that has not changed since it was read.
func asItWas(was ledger.Record) func(*wire.Tx, *record) error {
	return func(_ *wire.Tx, r *record) error {
		if differs(was, r.rec) {
			return ledger.ErrChanged
		}
		return nil
	}
}

// forgetAll forgets a record and all records below it, unless check returns an error.
func (l *Ledger) forgetAll(ctx context.Context, id ledger.ID, check func(*wire.Tx, *record) error) error {
	return l.forgetThen(ctx, id, check, func(d *deletion) error { return d.run(ctx, id) })
}

// forgetThen is forgetAll, but then deletes the rows below the record, if there are any, or leaves
// them for later.
func (l *Ledger) forgetThen(ctx context.Context, id ledger.ID, check func(*wire.Tx, *record) error, then func(*deletion) error) error {
	f, err := l.read(ctx, id) // a claim would create a row
	if err != nil {
		return err
	}
	if !f.own.stored {
		return ledger.ErrNotFound // the parent of a record has a row
	}
	c, err := l.claim(ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	d, err := newDeletion(l)
	if err != nil {
		return err
	}
	forgot, below, err := c.forget(ctx, check)
	if err == nil && below {
		err = then(d)
	}
	if err == nil && !forgot && d.gone == 0 { // other calls hold the stale rows
		return ledger.ErrNotFound
	}
	return err
}

// forget forgets the record of the claim and all records below it. It reports whether there was
// anything to forget, and whether there are rows below, which are all stale now.
func (c *claim) forget(ctx context.Context, check func(*wire.Tx, *record) error) (forgot, below bool, err error) {
	l := c.ledger
	var spools []string
	var done, fence int64 // the generation and the fence that an earlier try stored, if it was committed
	since := sinceBoot()
	err = l.tx(ctx, wire.Durable, func(t *wire.Tx) error {
		since = sinceBoot()
		f, err := c.lockOwn(t)
		if err != nil {
			return err
		}
		r := &f.own
		is, err := l.hasBelow(t, r)
		if err != nil {
			return err
		}
		below = is != none
		forgot = true
		if done != 0 && r.rec.Generation == done && r.seq == 0 && !r.stale && is != current {
			return nil
		}
		if err := check(t, r); err != nil {
			return err
		}
		switch {
		case r.stale || r.seq != 0 || is == current:
			err = l.forget(t, r)
		case is == stale:
			forgot = false
			return nil
		default:
			return ledger.ErrNotFound
		}
		if err != nil {
			return err
		}
		done, fence, spools = r.rec.Generation, r.rec.Fence, r.spools
		return l.store(t, r)
	})
	if err == nil {
		l.leases.renewed(c.held, since)
		if fence != 0 {
			c.here.acknowledged(c.id, fence, done-1, "")
		}
		l.removeSpools(spools)
		failpoint.Here("forget.spools")
	}
	return forgot, below, err
}
