package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"idem/ledger"
)

// merger compares a restored ledger with the one that it replaces, and raises its numbers.
//
// Generations and fences go to other services, so none may return. The restored ledger gets the
// greater one of both for each key. A key that it does not have gets a row without a history,
// as idem forget leaves it. Its generation stays the same: the call that runs again is the same
// operation, and its token lets another service recognize it.
type merger struct {
	old   *oldLedger
	to    *sql.DB // of the restored ledger
	again []ledger.RunsAgain
}

// commits returns the number of commits of the old ledger, 0 if it cannot be read.
func (m *merger) commits(ctx context.Context) (n int64, err error) {
	if m.old.conn == nil {
		return 0, nil
	}
	if n, err = commitsOf(ctx, m.old.conn); err != nil {
		return 0, m.unreadable(err)
	}
	return n, nil
}

// compare lists the keys that run again. It returns the number of commits of the old ledger
// before that.
func (m *merger) compare(ctx context.Context) (commits int64, err error) {
	if commits, err = m.commits(ctx); err != nil {
		return 0, err
	}
	if m.old.unread == nil && m.old.conn != nil {
		t, witness, err := m.old.readWitness()
		if err == nil {
			err = t.lost(witness, commits)
		}
		m.old.unread = err
	}
	return commits, m.walk(ctx, func(was recordRow, last attemptRow) error {
		if last.neverStarted() { // its batch has died, because no call uses the ledger
			last.rowid = was.current
			_, before, err := was.without(ctx, m.old.conn, last)
			if err != nil {
				return m.unreadable(err)
			}
			last = before
		}
		state := last.a.State
		if was.stale || state != ledger.Succeeded && state != ledger.Running {
			return nil
		}
		backup, runID, err := phaseIn(ctx, m.to, was.rowid)
		if err != nil || backup == ledger.PhaseSucceeded {
			return err
		}
		phase := ledger.PhaseSucceeded
		if state == ledger.Running {
			phase = ledger.PhaseInterrupted
		}
		if phase == backup && runID == last.a.RunID { // the backup knows as much
			return nil
		}
		m.again = append(m.again, ledger.RunsAgain{ID: was.rec.ID, Was: phase, Backup: backup, RunID: last.a.RunID})
		return nil
	})
}

// phaseIn returns the phase of a record in a ledger that no call uses, and the run id of its
// current attempt.
func phaseIn(ctx context.Context, q querier, rowid int64) (phase ledger.Phase, runID string, err error) {
	var state string
	r, err := scanRecord(q.QueryRowContext(ctx, "select "+recordColumns+`, coalesce(a.state, ''), coalesce(a.run_id, '')
		from records r left join attempts a on a.id = r.current`+byNumber, rowid), &state, &runID)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.PhaseNone, "", nil
	}
	if err == nil {
		_, err = r.resolve(ctx, q)
	}
	if err != nil || r.stale {
		return ledger.PhaseNone, "", err
	}
	r.rec.Current.State, r.rec.Current.RunID = ledger.State(state), runID
	return r.rec.Phase(), runID, nil
}

// walk calls f for each record of the old ledger that can be read, with the state of its current
// attempt. A record that cannot be read is noted in old.unread.
func (m *merger) walk(ctx context.Context, f func(recordRow, attemptRow) error) error {
	if m.old.conn == nil {
		return nil
	}
	for last := int64(-1); ; {
		var rows []historyRow
		err := each(ctx, m.old.conn, func(r *sql.Rows) error {
			var a attemptRow
			var note []byte
			rec, err := scanRecord(r, &a.a.State, &a.a.RunID, &note)
			last = max(last, rec.rowid)
			if errors.Is(err, ledger.ErrCorrupt) {
				m.old.unread = err
				return nil
			}
			a.setNote(string(note))
			rows = append(rows, historyRow{rec, a})
			return err
		}, "select "+recordColumns+`, coalesce(a.state, ''), coalesce(a.run_id, ''), coalesce(a.note, x'')
			from records r left join attempts a on a.id = r.current and a.record = r.id where r.id > ? order by r.id limit ?`, last, copyPage)
		if err != nil {
			return m.unreadable(err)
		}
		if len(rows) == 0 {
			more := false
			if err := m.old.conn.QueryRowContext(ctx, "select exists (select 1 from records where id > ?)", last).Scan(&more); err != nil || !more {
				return m.unreadable(err)
			}
		}
		for _, row := range rows {
			r := row.r
			if _, err := r.resolve(ctx, m.old.conn); err != nil {
				if m.unreadable(err) != nil {
					return err
				}
				continue
			}
			if err := f(r, row.a); err != nil {
				return err
			}
		}
	}
}

// unreadable notes damage of the old ledger, and returns any other error.
func (m *merger) unreadable(err error) error {
	if err == nil {
		return nil
	}
	// The disk may not give a page back: mayBeCommitted is about the same errors of SQLite.
	damaged := mayBeCommitted(err)
	if err = m.old.classify(err); m.old.unread == nil && !damaged && !errors.Is(err, ledger.ErrCorrupt) {
		return err
	}
	m.old.unread = err
	return nil
}

// raise raises the numbers of the restored ledger.
func (m *merger) raise(ctx context.Context) error {
	tx, err := m.to.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := m.walk(ctx, func(was recordRow, _ attemptRow) error { return raiseOne(ctx, tx, was) }); err != nil {
		return err
	}
	return tx.Commit()
}

// raiseOne raises the numbers of a record to those of the replaced ledger.
func raiseOne(ctx context.Context, tx querier, was recordRow) error {
	r, err := readRow(ctx, tx, was.rowid)
	if errors.Is(err, sql.ErrNoRows) {
		bare := recordRow{rec: ledger.Record{
			ID: was.rec.ID, Generation: was.rec.Generation, Fence: was.rec.Fence, Series: was.rec.Series,
		}, kin: kin{floor: was.kin.floor}}
		return writeRecord(ctx, tx, &bare)
	}
	if err = r.belongs(was.rec.ID, err); err != nil {
		return err
	}
	before, series := r, r.rec.Series
	r.rec.Generation, r.rec.Fence = max(r.rec.Generation, was.rec.Generation), max(r.rec.Fence, was.rec.Fence)
	r.kin.floor = max(r.kin.floor, was.kin.floor)
	if was.rec.Series > series {
		// Records below of later series have been deleted, so only these numbers know of
		// them. A new series for the records below is greater than each.
		r.rec.Series = max(was.rec.Series, r.kin.floor) + 1
	}
	if r.rec.Generation == before.rec.Generation && r.rec.Fence == before.rec.Fence && r.kin == before.kin && r.rec.Series == series {
		return nil
	}
	if err := writeRecord(ctx, tx, &r); err != nil {
		return err
	}
	if r.rec.Series == series {
		return nil
	}
	return moveChildren(ctx, tx, r.rowid, series, r.rec.Series)
}

// moveChildren makes the records of one series below a parent those of another one.
func moveChildren(ctx context.Context, tx querier, parent, from, to int64) error {
	for {
		ids, err := numbers(ctx, tx, "select id from records where parent=? and parent<>0 and parent_series=? limit ?", parent, from, copyPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			r, err := readRow(ctx, tx, id)
			if err != nil {
				return err
			}
			r.kin.parentSeries = to
			if err := updateRecord(ctx, tx, &r); err != nil {
				return fmt.Errorf("key %q: %w", r.rec.ID.Key, err)
			}
		}
	}
}
