package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Forget implements ledger.Ledger. One commit forgets the record and all records below it.
// Then the rows of those below are deleted piece by piece. A kill in between leaves stale
// rows, which a further Forget deletes.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error {
	return l.forgetAll(ctx, id, func(recordRow, attemptRow) error { return nil })
}

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(ctx context.Context, was ledger.Record) error {
	return l.forgetAll(ctx, was.ID, func(r recordRow, last attemptRow) error {
		if differs(was, r.rec.Generation, last.a) {
			return ledger.ErrChanged
		}
		return nil
	})
}

// forgetAll forgets a record and all records below it, unless check returns an error.
func (l *Ledger) forgetAll(ctx context.Context, id ledger.ID, check func(recordRow, attemptRow) error) error {
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
	var gone spools
	var parent recordRow
	err = l.write(ctx, func(tx querier) error {
		gone = nil
		now, last, err := readBoth(ctx, tx, id)
		if err == nil {
			err = check(now, last)
		}
		if err != nil {
			return err
		}
		below, err := l.hasBelow(ctx, tx, now)
		if err != nil {
			return err
		}
		stale := now.stale
		if err := now.dropStale(ctx, tx, &gone); err != nil {
			return err
		}
		switch {
		case now.current != 0 || below == current:
			if err := l.forget(ctx, tx, &now, &gone); err != nil {
				return err
			}
		case !stale && below == none:
			return ledger.ErrNotFound
		case !stale:
			parent = now
			return nil
		}
		parent = now
		return writeRecord(ctx, tx, &parent)
	})
	if err == nil {
		err = l.checkPlace()
	}
	if err == nil {
		l.removeSpools(gone)
		failpoint.Here("forget.spools")
		err = l.deleteBelow(ctx, parent)
	}
	if err != nil {
		if errors.As(err, new(*ledger.BusyError)) || errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrChanged) {
			return err
		}
		return l.explain(err)
	}
	l.emptyWAL(ctx)
	failpoint.Here("forget.wal")
	return nil
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
	old            // all are stale
	current        // some are not stale
)

func (l *Ledger) hasBelow(ctx context.Context, q querier, r recordRow) (int, error) {
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
		return old, err
	}
	return none, err
}

// piece is the number of records whose rows are deleted with one commit.
const piece = 2000

// deleteBelow deletes the rows of all stale records below a parent.
func (l *Ledger) deleteBelow(ctx context.Context, parent recordRow) error {
	if parent.kin.floor == 0 {
		return nil
	}
	for {
		var gone spools
		var rowids []int64
		err := l.write(ctx, func(tx querier) (err error) {
			gone = nil
			now, err := readRow(ctx, tx, parent.rowid)
			if err != nil {
				return err
			}
			if rowids, err = below(ctx, tx, parent.rowid, "parent_series<>?2", now.rec.Series, piece); err != nil || len(rowids) == 0 {
				return err
			}
			if err := dropHistory(ctx, tx, &gone, rowids...); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "delete from records where id in (select value from json_each(?))", jsonOf(rowids))
			return err
		})
		if err != nil {
			return err
		}
		l.removeSpools(gone)
		failpoint.Here("forget.piece")
		if len(rowids) == 0 {
			return nil
		}
	}
}

// below returns the rowids of at most room records below a parent, each one before its
// parent. A record is omitted if records below it are omitted. The condition selects the
// children of the parent.
func below(ctx context.Context, tx querier, parent int64, condition string, series int64, room int) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, `select id, floor from records where parent=?1 and parent<>0 and `+condition+` limit ?3`, parent, series, room)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type child struct{ rowid, floor int64 }
	var children []child
	for rows.Next() {
		var c child
		if err := rows.Scan(&c.rowid, &c.floor); err != nil {
			return nil, err
		}
		children = append(children, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var all []int64
	for _, c := range children {
		if c.floor > 0 {
			under, err := below(ctx, tx, c.rowid, "?2=?2", 0, room-len(all))
			if err != nil {
				return nil, err
			}
			all = append(all, under...)
		}
		if len(all) >= room {
			break
		}
		all = append(all, c.rowid)
	}
	return all, nil
}

// dropHistory deletes the attempts of records, and adds the spools that they may have.
func dropHistory(ctx context.Context, tx querier, gone *spools, rowids ...int64) error {
	ids := jsonOf(rowids)
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`select run_id from attempts
		where record in (select value from json_each(?)) and output_place in (%d, %d)`, storageUnknown, storageFile), ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var runID string
		if err := rows.Scan(&runID); err != nil {
			return err
		}
		*gone = append(*gone, runID)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, table := range []string{
		"delete from outputs where attempt in (select id from attempts where record in (select value from json_each(?)))",
		"delete from files where attempt in (select id from attempts where record in (select value from json_each(?)))",
		"delete from attempts where record in (select value from json_each(?))",
	} {
		if _, err := tx.ExecContext(ctx, table, ids); err != nil {
			return err
		}
	}
	return nil
}

func jsonOf(rowids []int64) string {
	ids, err := json.Marshal(rowids)
	if err != nil {
		panic(err) // numbers only
	}
	return string(ids)
}

// emptyWAL moves everything from the write-ahead log to the database and truncates the
// log, so that neither contains the forgotten data. It does not wait for readers that
// prevent this: later writes overwrite the log.
func (l *Ledger) emptyWAL(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkpoint(ctx, "truncate", 0)
}
