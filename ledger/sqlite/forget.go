package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Forget implements ledger.Ledger. One commit forgets the record and all records below it.
// Then the rows of those below are deleted piece by piece. A kill in between leaves stale
// rows, which a further Forget deletes.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error {
	return l.forgetAll(ctx, id, asItIs)
}

// asItIs accepts any record.
func asItIs(recordRow, attemptRow) error { return nil }

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
	parent, err := l.forgetRecord(ctx, id, check)
	if err == nil && parent.kin.floor > 0 {
		end := l.Sustain()
		l.setCache(ctx, deletionCache)
		err = l.deleteBelow(ctx, parent.rowid)
		l.setCache(ctx, defaultCache)
		end()
	}
	if errors.As(err, new(*ledger.BusyError)) || errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrChanged) {
		return err
	}
	if err == nil {
		l.emptyWAL(ctx)
		failpoint.Here("forget.wal")
	}
	return l.explain(err)
}

// forgetRecord forgets a record and all records below it. It returns the record, whose stale
// records below still have to be deleted.
func (l *Ledger) forgetRecord(ctx context.Context, id ledger.ID, check func(recordRow, attemptRow) error) (recordRow, error) {
	var gone spools
	var now recordRow
	var undone attemptRow
	err := l.write(ctx, func(tx querier) (err error) {
		gone = nil
		var last attemptRow
		now, last, undone, err = readClaimed(ctx, tx, id)
		if err == nil {
			err = check(now, last)
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

// piece is the number of records whose rows are deleted with one commit.
const piece = 20000

// deleteBelow deletes the rows of all stale records below a parent. Rows with near numbers
// share pages, so it deletes them in this order: then far fewer pages change with each commit.
func (l *Ledger) deleteBelow(ctx context.Context, parent int64) error {
	db, err := l.database(ctx)
	if err != nil {
		return err
	}
	rowids, err := staleBelow(ctx, db, parent)
	if err != nil {
		return err
	}
	slices.Sort(rowids)
	for page := range slices.Chunk(rowids, piece) {
		inner, err := parentsAmong(ctx, db, page)
		if err != nil {
			return err
		}
		for _, child := range inner {
			if err := l.deleteBelow(ctx, child); err != nil {
				return err
			}
		}
		if err := l.deletePiece(ctx, parent, jsonOf(page)); err != nil {
			return err
		}
		failpoint.Here("forget.piece")
	}
	return nil
}

// The sizes of SQLite's page cache in KiB. If the pages that a piece changes do not fit,
// SQLite writes them to the log again and again.
const (
	deletionCache = 64 << 10
	defaultCache  = 2000
)

func (l *Ledger) setCache(ctx context.Context, size int) {
	_, _ = l.db.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("pragma cache_size=-%d", size))
}

// keptSeries returns the series of a parent whose records are not stale, or -1 if all are.
func keptSeries(ctx context.Context, q querier, parent int64) (int64, error) {
	r, err := readRow(ctx, q, parent)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	if err == nil {
		_, err = r.resolve(ctx, q)
	}
	if r.stale {
		return -1, err
	}
	return r.rec.Series, err
}

// staleBelow returns the rowids of the stale records directly below a parent.
func staleBelow(ctx context.Context, q querier, parent int64) ([]int64, error) {
	kept, err := keptSeries(ctx, q, parent)
	if err != nil {
		return nil, err
	}
	var all []int64
	for series, done, rowid := int64(-1), int64(0), int64(0); ; {
		n := len(all)
		err := each(ctx, q, func(rows *sql.Rows) error {
			if err := rows.Scan(&series, &done, &rowid); err != nil {
				return err
			}
			all = append(all, rowid)
			return nil
		}, `select parent_series, done, id from records where parent=?1 and parent<>0 and parent_series<>?2
			and (parent_series, done, id) > (?3, ?4, ?5) order by parent_series, done, id limit ?6`,
			parent, kept, series, done, rowid, surveyPage)
		if err != nil || len(all) == n {
			return all, err
		}
	}
}

// parentsAmong returns those of the records that may have rows below them.
func parentsAmong(ctx context.Context, q querier, rowids []int64) ([]int64, error) {
	var all []int64
	err := each(ctx, q, func(rows *sql.Rows) error {
		var rowid int64
		err := rows.Scan(&rowid)
		all = append(all, rowid)
		return err
	}, "select r.id from json_each(?) ids cross join records r on r.id=ids.value where r.floor > 0", jsonOf(rowids))
	return all, err
}

// deletePiece deletes those of the records that are still stale.
func (l *Ledger) deletePiece(ctx context.Context, parent int64, ids string) error {
	var gone spools
	err := l.write(ctx, func(tx querier) error {
		gone = nil
		kept, err := keptSeries(ctx, tx, parent)
		if err != nil {
			return err
		}
		var rowids []int64
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var rowid int64
			err := rows.Scan(&rowid)
			rowids = append(rowids, rowid)
			return err
		}, `select r.id from json_each(?) ids cross join records r on r.id=ids.value where r.parent=? and r.parent_series<>?
			and (r.floor=0 or not exists (select 1 from records c where c.parent=r.id and c.parent<>0))`, ids, parent, kept)
		if err != nil || len(rowids) == 0 {
			return err
		}
		if err := dropHistory(ctx, tx, &gone, rowids...); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "delete from records where id in (select value from json_each(?))", jsonOf(rowids))
		return err
	})
	if err == nil {
		l.removeSpools(gone)
	}
	return err
}

// each calls f for each row of a query.
func each(ctx context.Context, q querier, f func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// dropHistory deletes the attempts of records, and adds the spools that they may have.
func dropHistory(ctx context.Context, tx querier, gone *spools, rowids ...int64) error {
	ids := jsonOf(rowids)
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var runID string
		err := rows.Scan(&runID)
		*gone = append(*gone, runID)
		return err
	}, fmt.Sprintf(`select run_id from attempts
		where record in (select value from json_each(?)) and output_place in (%d, %d)`, storageUnknown, storageFile), ids)
	if err != nil {
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
