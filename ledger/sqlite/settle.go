package sqlite

import (
	"context"
	"database/sql"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Mark implements ledger.Ledger.
func (l *Ledger) Mark(ctx context.Context, id ledger.ID, m ledger.Mark) error {
	return l.settle(ctx, id, func(tx *sql.Tx) error {
		before, last, err := readBoth(ctx, tx, id)
		if err != nil {
			return err
		}
		was := m.Expect
		if before.rec.Generation != was.Generation || last.a.RunID != was.Current.RunID || last.a.State != was.Current.State {
			return ledger.ErrChanged
		}
		if last.a.State == ledger.Running {
			if err := settleLost(ctx, tx, id, last); err != nil {
				return err
			}
		}
		now := before
		if before.rowid == 0 { // the mark needs the record's rowid
			if err := writeRecord(ctx, tx, recordRow{}, &now); err != nil {
				return err
			}
		}
		at := fromMicros(micros(l.now()))
		row := attemptRow{record: now.rowid, place: placeNone, a: ledger.Attempt{
			RunID: m.RunID, State: m.State, Reason: ledger.ReasonMarked, ExitCode: m.ExitCode, Started: at, Ended: at,
			Fingerprint: last.a.Fingerprint, Inputs: last.a.Inputs, Owner: m.Owner, Note: m.Note,
		}}
		if err := insertAttempt(ctx, tx, id, &row); err != nil {
			return err
		}
		expect := now
		now.current = row.rowid
		return writeRecord(ctx, tx, expect, &now)
	})
}

// Forget implements ledger.Ledger.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error {
	// A ledger that is not there is not made to forget in.
	if db, err := l.database(ctx); err != nil {
		return l.explain(err)
	} else if db == nil {
		return ledger.ErrNotFound
	}
	var history []attemptRow
	err := l.settle(ctx, id, func(tx *sql.Tx) error {
		before, _, err := readBoth(ctx, tx, id)
		if err != nil {
			return err
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

// emptyWAL moves everything from the write-ahead log to the database, so that
// what was forgotten is in neither. A reader that is in the way is not waited
// for: the log is overwritten sooner or later.
func (l *Ledger) emptyWAL(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.db.ExecContext(ctx, "pragma busy_timeout=0; pragma wal_checkpoint(truncate); "+reading)
}

// settle changes a record by hand, under its claim, so that nothing can run
// meanwhile.
func (l *Ledger) settle(ctx context.Context, id ledger.ID, f func(tx *sql.Tx) error) error {
	c, err := l.claim(ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	return l.explain(l.write(ctx, f))
}
