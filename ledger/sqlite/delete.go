package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"idem/internal/failpoint"
)

// deletion deletes the rows of stale records in pieces, each with one commit. Between two
// pieces, other calls write.
//
// A commit writes each page that it changes, so rows that share pages are deleted together.
// Attempts are deleted first, in the order of their table, then records in the order of
// theirs. After a kill in between, a stale record may lack its current attempt.
type deletion struct {
	ledger *Ledger
	most   int // records that are deleted together. It bounds the memory
	size   int // rows of the next piece
}

func newDeletion(l *Ledger) *deletion { return &deletion{ledger: l, most: 1 << 19, size: leastPiece} }

// A commit deletes as many rows as it can in pieceTime, so that other calls get their turn.
// The limits bound the number of syncs and the memory.
//
// The kernel does not hand a lock over: a process that waits for it has to be faster than
// one that takes it again at once. So a deletion waits for turnTime after each piece.
const (
	pieceTime  = 500 * time.Millisecond
	turnTime   = 5 * time.Millisecond
	leastPiece = 20_000
	mostPiece  = 50_000
)

// The sizes of SQLite's page cache in KiB. If the pages that a piece changes do not fit,
// SQLite writes them to the log again and again.
const (
	deletionCache = 24 << 10
	defaultCache  = 2000
)

// run deletes the rows of all stale records below a parent, on all levels.
func (d *deletion) run(ctx context.Context, parent int64) error {
	d.setCache(ctx, deletionCache)
	defer d.setCache(ctx, defaultCache)
	return d.below(ctx, parent)
}

func (d *deletion) setCache(ctx context.Context, size int) {
	_, _ = d.ledger.db.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("pragma cache_size=-%d", size))
}

func (d *deletion) below(ctx context.Context, parent int64) error {
	db, err := d.ledger.database(ctx)
	if err != nil {
		return err
	}
	for at := (childRow{series: -1}); ; {
		var rowids []int64
		if rowids, at, err = d.staleBelow(ctx, db, parent, at); err != nil || len(rowids) == 0 {
			return err
		}
		slices.Sort(rowids)
		if err := d.pages(ctx, db, parentsAmong, rowids, d.below); err != nil {
			return err
		}
		attempts := make([]int64, 0, len(rowids))
		if err := d.pages(ctx, db, attemptsOf, rowids, func(_ context.Context, id int64) error {
			attempts = append(attempts, id)
			return nil
		}); err != nil {
			return err
		}
		slices.Sort(attempts)
		if err := d.pieces(ctx, parent, attempts, deleteAttempts); err != nil {
			return err
		}
		if err := d.pieces(ctx, parent, rowids, deleteRecords); err != nil {
			return err
		}
	}
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

// childRow is a place in the index over the children of a parent.
type childRow struct{ series, done, rowid int64 }

// staleBelow returns the rowids of stale records directly below a parent that follow a place
// in the index. It also returns the place of the last one.
func (d *deletion) staleBelow(ctx context.Context, q querier, parent int64, at childRow) ([]int64, childRow, error) {
	kept, err := keptSeries(ctx, q, parent)
	if err != nil {
		return nil, at, err
	}
	var all []int64
	for len(all) < d.most {
		n := len(all)
		err := each(ctx, q, func(rows *sql.Rows) error {
			if err := rows.Scan(&at.series, &at.done, &at.rowid); err != nil {
				return err
			}
			all = append(all, at.rowid)
			return nil
		}, `select parent_series, done, id from records where parent=?1 and parent<>0 and parent_series<>?2
			and (parent_series, done, id) > (?3, ?4, ?5) order by parent_series, done, id limit ?6`,
			parent, kept, at.series, at.done, at.rowid, min(surveyPage, d.most-n))
		if err != nil || len(all) == n {
			return all, at, err
		}
	}
	return all, at, nil
}

// pages calls f for each result of a query about records.
func (d *deletion) pages(ctx context.Context, q querier, query string, rowids []int64, f func(context.Context, int64) error) error {
	for page := range slices.Chunk(rowids, surveyPage) {
		found, err := numbers(ctx, q, query, jsonOf(page))
		if err != nil {
			return err
		}
		for _, n := range found {
			if err := f(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	// parentsAmong finds those of the records that may have rows below them.
	parentsAmong = "select r.id from json_each(?) ids cross join records r on r.id=ids.value where r.floor > 0"
	// attemptsOf finds the attempts of records.
	attemptsOf = "select a.id from json_each(?) ids cross join attempts a on a.record=ids.value"
)

// deleter deletes rows if they belong to records below a parent of another series than kept.
type deleter func(ctx context.Context, tx querier, gone *spools, ids []int64, parent, kept int64) error

// pieces deletes rows in pieces.
func (d *deletion) pieces(ctx context.Context, parent int64, ids []int64, f deleter) error {
	for len(ids) > 0 {
		n := min(d.size, len(ids))
		if err := d.piece(ctx, parent, ids[:n], f); err != nil {
			return err
		}
		ids = ids[n:]
		failpoint.Here("forget.piece")
		time.Sleep(turnTime)
	}
	return nil
}

// piece deletes rows with one commit.
func (d *deletion) piece(ctx context.Context, parent int64, ids []int64, f deleter) error {
	var gone spools
	var begun time.Time
	err := d.ledger.write(ctx, func(tx querier) error {
		gone, begun = nil, time.Now()
		kept, err := keptSeries(ctx, tx, parent)
		if err != nil {
			return err
		}
		return f(ctx, tx, &gone, ids, parent, kept)
	})
	if err != nil {
		return err
	}
	d.ledger.removeSpools(gone)
	switch took := time.Since(begun); {
	case took > pieceTime:
		d.size = max(d.size/2, leastPiece)
	case took < pieceTime/2:
		d.size = min(d.size*2, mostPiece)
	}
	return nil
}

// deleteAttempts deletes those of the attempts whose records are still stale. Another call may
// have deleted some, and given their numbers to attempts of other records.
func deleteAttempts(ctx context.Context, tx querier, gone *spools, ids []int64, parent, kept int64) error {
	ids, err := numbers(ctx, tx, `select a.id from json_each(?) ids cross join attempts a on a.id=ids.value
		cross join records r on r.id=a.record where r.parent=? and r.parent_series<>?`, jsonOf(ids), parent, kept)
	if err != nil {
		return err
	}
	return dropAttempts(ctx, tx, gone, ids)
}

// deleteRecords deletes those of the records that are still stale and have no rows.
func deleteRecords(ctx context.Context, tx querier, _ *spools, ids []int64, parent, kept int64) error {
	ids, err := numbers(ctx, tx, `select r.id from json_each(?) ids cross join records r on r.id=ids.value where r.parent=? and r.parent_series<>?
		and not exists (select 1 from attempts a where a.record=r.id)
		and (r.floor=0 or not exists (select 1 from records c where c.parent=r.id and c.parent<>0))`, jsonOf(ids), parent, kept)
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "delete from records where id in (select value from json_each(?))", jsonOf(ids))
	return err
}

// dropHistory deletes the attempts of a record, and adds the spools that they may have.
func dropHistory(ctx context.Context, tx querier, gone *spools, rowid int64) error {
	ids, err := numbers(ctx, tx, "select id from attempts where record=?", rowid)
	if err != nil {
		return err
	}
	return dropAttempts(ctx, tx, gone, ids)
}

// dropAttempts deletes attempts, and adds the spools that they may have.
func dropAttempts(ctx context.Context, tx querier, gone *spools, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	list := jsonOf(ids)
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var runID string
		err := rows.Scan(&runID)
		*gone = append(*gone, runID)
		return err
	}, fmt.Sprintf(`select a.run_id from json_each(?) ids cross join attempts a on a.id=ids.value
		where a.output_place in (%d, %d)`, storageUnknown, storageFile), list)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"delete from outputs where attempt in (select value from json_each(?))",
		"delete from files where attempt in (select value from json_each(?))",
		"delete from attempts where id in (select value from json_each(?))",
	} {
		if _, err := tx.ExecContext(ctx, statement, list); err != nil {
			return err
		}
	}
	return nil
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

// numbers returns the only column of a query.
func numbers(ctx context.Context, q querier, query string, args ...any) ([]int64, error) {
	var all []int64
	err := each(ctx, q, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		all = append(all, n)
		return err
	}, query, args...)
	return all, err
}

func jsonOf(numbers []int64) string {
	text, err := json.Marshal(numbers)
	if err != nil {
		panic(err) // numbers only
	}
	return string(text)
}
