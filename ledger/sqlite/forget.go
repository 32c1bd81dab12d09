package sqlite

import (
	"context"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Forget implements ledger.Ledger.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error { return l.forget(ctx, id, nil) }

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(ctx context.Context, was ledger.Record) error {
	return l.forget(ctx, was.ID, &was)
}

// forget forgets a record. If was is set, the record must not have changed since.
func (l *Ledger) forget(ctx context.Context, id ledger.ID, was *ledger.Record) error {
	// A missing ledger has nothing to forget, so it is not created.
	if db, err := l.database(ctx); err != nil {
		return l.explain(err)
	} else if db == nil {
		return ledger.ErrNotFound
	}
	var history []attemptRow
	err := l.writeUnderClaim(ctx, id, func(tx querier) error {
		before, last, err := readBoth(ctx, tx, id)
		if err != nil {
			return err
		}
		if was != nil && differs(*was, before.rec.Generation, last.a) {
			return ledger.ErrChanged
		}
		if before.current == 0 {
			return ledger.ErrNotFound
		}
		if history, err = l.history(ctx, tx, id); err != nil {
			return err
		}
		now := before
		now.rec.Generation++
		now.rec.Attempts, now.current = 0, 0
		if err := writeRecord(ctx, tx, before, &now); err != nil {
			return err
		}
		for _, table := range []string{
			"delete from outputs where attempt in (select id from attempts where record=?)",
			"delete from files where attempt in (select id from attempts where record=?)",
			"delete from attempts where record=?",
		} {
			if _, err := tx.ExecContext(ctx, table, before.rowid); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, a := range history {
			l.removeSpool(a.a.RunID)
		}
		failpoint.Here("forget.spools")
		l.emptyWAL(ctx)
		failpoint.Here("forget.wal")
	}
	return err
}

// emptyWAL moves everything from the write-ahead log to the database and truncates the
// log, so that neither contains the forgotten data. It does not wait for readers that
// prevent this: later writes overwrite the log.
func (l *Ledger) emptyWAL(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkpoint(ctx, "truncate", 0)
}

// writeUnderClaim changes a record in one transaction while it holds the claim, so that no
// command of the key can run at the same time.
func (l *Ledger) writeUnderClaim(ctx context.Context, id ledger.ID, f func(tx querier) error) error {
	c, err := l.claim(ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	if err = l.write(ctx, f); err == nil {
		err = l.checkPlace()
	}
	return l.explain(err)
}
