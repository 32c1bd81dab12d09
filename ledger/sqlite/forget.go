package sqlite

import (
	"context"
	"errors"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Forget implements ledger.Ledger. One commit forgets the record and all records below it.
// Then the rows of those below are deleted piece by piece. A kill in between leaves stale
// rows, which a further Forget deletes.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error {
	return l.forgetOne(ctx, id, asItIs)
}

// asItIs accepts any record.
func asItIs(querier, recordRow, attemptRow) error { return nil }

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(ctx context.Context, was ledger.Record) error {
	return l.forgetOne(ctx, was.ID, asItWas(was))
}

// asItWas accepts a record that has not changed since it was read.
func asItWas(was ledger.Record) func(querier, recordRow, attemptRow) error {
	return func(_ querier, r recordRow, last attemptRow) error {
		if differs(was, r.rec.Generation, last.a) {
			return ledger.ErrChanged
		}
		return nil
	}
}

// forgetOne is forgetAll for a call that forgets only this record.
func (l *Ledger) forgetOne(ctx context.Context, id ledger.ID, check func(querier, recordRow, attemptRow) error) error {
	err := l.forgetAll(ctx, id, check)
	if err == nil {
		l.eraseWAL(ctx)
		failpoint.Here("forget.wal")
	}
	return err
}

// forgetAll forgets a record and all records below it, unless check returns an error.
func (l *Ledger) forgetAll(ctx context.Context, id ledger.ID, check func(querier, recordRow, attemptRow) error) error {
	return l.forgetThen(ctx, id, check, func(r recordRow) error { return l.deleteBelow(ctx, r) })
}

// deleteBelow deletes the stale rows below a record.
func (l *Ledger) deleteBelow(ctx context.Context, r recordRow) error {
	if r.kin.floor == 0 {
		return nil
	}
	defer l.Sustain()()
	return newDeletion(l).run(ctx, r.rowid)
}

// forgetThen is forgetAll, but then deletes the rows below the record, or leaves them for later.
func (l *Ledger) forgetThen(ctx context.Context, id ledger.ID, check func(querier, recordRow, attemptRow) error, then func(recordRow) error) error {
	// A missing ledger has nothing to forget, so it is not created.
	if db, err := l.database(ctx); err != nil {
		return l.explain(err)
	} else if db == nil {
		return ledger.ErrNotFound
	}
	c, err := l.claim(ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	parent, err := l.forgetRecord(ctx, id, check)
	if err == nil {
		err = then(parent)
	}
	if errors.As(err, new(*ledger.BusyError)) || errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrChanged) {
		return err
	}
	return l.explain(err)
}

// forgetRecord forgets a record and all records below it. It returns the record, whose stale
// records below still have to be deleted.
func (l *Ledger) forgetRecord(ctx context.Context, id ledger.ID, check func(querier, recordRow, attemptRow) error) (recordRow, error) {
	var gone spools
	var now recordRow
	var undone attemptRow
	err := l.write(ctx, func(tx querier) (err error) {
		gone = nil
		var last attemptRow
		now, last, undone, err = readClaimed(ctx, tx, id)
		if err == nil {
			err = check(tx, now, last)
		}
		if err != nil {
			return err
		}
		below, err := hasBelow(ctx, tx, now)
		if err != nil {
			return err
		}
		switch {
		case now.current != 0 || below == current:
			err = l.forget(ctx, tx, &now, &gone)
		case now.stale:
			err = now.dropStale(ctx, tx, &gone)
		case below == stale:
			return nil
		default:
			return ledger.ErrNotFound
		}
		if err != nil {
			return err
		}
		return writeRecord(ctx, tx, &now)
	})
	if err == nil {
		err = l.checkPlace()
	}
	if err == nil {
		undone.forgetUnstarted()
		l.removeSpools(gone)
		failpoint.Here("forget.spools")
	}
	return now, err
}

// forget drops the history of r and begins a new series. The caller stores r.
func (l *Ledger) forget(ctx context.Context, tx querier, r *recordRow, gone *spools) error {
	if err := l.renew(ctx, tx, r); err != nil {
		return err
	}
	r.rec.Generation++
	r.rec.Attempts, r.current, r.rec.Current = 0, 0, ledger.Attempt{}
	r.kin.done = 0
	return dropHistory(ctx, tx, gone, r.rowid)
}

// The results of hasBelow: whether a parent has rows below it.
const (
	none    = iota // it has none
	stale          // all are stale
	current        // some are not stale
)

func hasBelow(ctx context.Context, q querier, r recordRow) (int, error) {
	if r.rowid == 0 || r.kin.floor == 0 {
		return none, nil
	}
	var now, any bool
	err := q.QueryRowContext(ctx, `select exists (select 1 from records where parent=?1 and parent<>0 and parent_series=?2),
		exists (select 1 from records where parent=?1 and parent<>0)`, r.rowid, r.rec.Series).Scan(&now, &any)
	switch {
	case now:
		return current, err
	case any:
		return stale, err
	}
	return none, err
}

// eraseWAL empties the write-ahead log, so that neither the log nor the database contains the
// forgotten data. It does not wait for readers that prevent this: later writes overwrite the log.
func (l *Ledger) eraseWAL(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emptyWAL(ctx, 0)
}
