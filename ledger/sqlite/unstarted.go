package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"idem/ledger"
	"idem/ledger/filelock"
)

// A batch begins many attempts, and many of them wait for their commands to start at a time.
// If the batch dies, these attempts are recorded as running, although they had no effect.
// So, while a batch runs, each attempt is in a list of filelock.Unstarted, which its row names.
// It is in the list from before the commit of Begin until its Descriptors are asked for. An attempt
// that is still in its list, and whose locks are free, was never started. It is read as if it
// had been abandoned, and the next Begin or Mark abandons it.

// neverStarted reports whether a is recorded as running although its command was never
// started. The caller knows that no process holds the claim.
func (r attemptRow) neverStarted() bool {
	return r.a.State == ledger.Running && r.unstarted != "" && filelock.NeverStarted(r.unstarted, r.a.RunID)
}

// without returns the record r without its running attempt a, and the attempt that is current
// then.
func (r recordRow) without(ctx context.Context, q querier, a attemptRow) (recordRow, attemptRow, error) {
	var s attemptScan
	err := q.QueryRowContext(ctx, "select "+attemptColumns+` from attempts a
		where a.record=? and a.id<? order by a.id desc limit 1`, r.rowid, a.rowid).Scan(s.dest()...)
	var last attemptRow
	switch {
	case err == nil:
		last, err = s.attempt(r.rec.ID)
	case errors.Is(err, sql.ErrNoRows):
		err = nil
	}
	last.revive()
	r.rec.Attempts = a.a.Number - 1
	r.current, r.rec.Current = last.rowid, last.a
	r.kin.done = r.doneBy(last.a)
	return r, last, err
}

// abandon stores the record r without its running attempt a. Only the fence stays.
func (r recordRow) abandon(ctx context.Context, tx querier, a attemptRow) (recordRow, attemptRow, error) {
	r, last, err := r.without(ctx, tx, a)
	if err != nil {
		return r, last, err
	}
	if err := writeRecord(ctx, tx, &r); err != nil {
		return r, last, err
	}
	if last.a.State == ledger.Running {
		if err := updateAttempt(ctx, tx, r.rec.ID, last, ledger.Failed); err != nil {
			return r, last, err
		}
	}
	return r, last, requireOneRow(tx.ExecContext(ctx, "delete from attempts where id=? and run_id=? and state='running'", a.rowid, a.a.RunID))
}

// readClaimed is readBoth under the claim, before a new attempt or mark. It abandons an
// attempt that was never started, which is undone then, or else zero.
func readClaimed(ctx context.Context, tx querier, id ledger.ID) (r recordRow, a, undone attemptRow, err error) {
	r, a, err = readBoth(ctx, tx, id)
	if err == nil && a.neverStarted() {
		undone = a
		r, a, err = r.abandon(ctx, tx, undone)
	}
	return r, a, undone, err
}

// forgetUnstarted removes an attempt that was abandoned with a commit from its list.
func (r attemptRow) forgetUnstarted() {
	if r.unstarted != "" {
		filelock.ForgetUnstarted(r.unstarted, r.a.RunID)
	}
}

// revive undoes recordLost on the attempt before one that is abandoned.
func (r *attemptRow) revive() {
	if r.a.Reason == ledger.ReasonLost {
		r.a.State, r.a.Reason, r.a.Truncated = ledger.Running, "", false
	}
}

// withoutUnstarted returns the attempts of a record without the last one, if that was never
// started.
func (l *Ledger) withoutUnstarted(id ledger.ID, rows []attemptRow) ([]attemptRow, error) {
	last := rows[len(rows)-1]
	if last.a.State != ledger.Running || last.unstarted == "" {
		return rows, nil
	}
	alive, err := l.alive(id)
	if alive || err != nil || !last.neverStarted() {
		return rows, err
	}
	rows = rows[:len(rows)-1]
	if len(rows) > 0 {
		rows[len(rows)-1].revive()
	}
	return rows, nil
}
