package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

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
	page   int // rows that are read at once
	size   int // rows of the next piece
}

func newDeletion(l *Ledger) *deletion {
	return &deletion{ledger: l, most: 1 << 20, page: surveyPage, size: leastPiece}
}

// A commit deletes as many rows as it can in pieceTime of the processor and in pieceWait, so
// that other calls get their turn. Each piece writes most pages of an index in another order,
// so small pieces cost more: a busy system makes them smaller only when other calls wait for long.
// Attempts with large outputs take long, so the first piece is small. The limits bound the
// number of syncs and the memory.
//
// The kernel does not hand a lock over: a process that waits for it has to be faster than
// one that takes it again at once. So a deletion waits for turnTime after each piece.
const (
	pieceTime  = 300 * time.Millisecond
	pieceWait  = 700 * time.Millisecond
	turnTime   = 5 * time.Millisecond
	leastPiece = 4000
	mostPiece  = 100_000
)

// The sizes of SQLite's page cache in KiB. If the pages that a piece changes do not fit,
// SQLite writes them to the log again and again.
const (
	deletionCache = 64 << 10
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

// below deletes the stale records below a parent. Those that have records below them remain
// at first, and so does all that other calls have changed in the meantime.
func (d *deletion) below(ctx context.Context, parent int64) error {
	if err := d.children(ctx, parent, nil); err != nil {
		return err
	}
	return d.children(ctx, parent, d.below)
}

// children deletes the stale records directly below a parent, after first was called for each.
func (d *deletion) children(ctx context.Context, parent int64, first func(context.Context, int64) error) error {
	db, err := d.ledger.database(ctx)
	if err != nil {
		return err
	}
	for at := (childRow{series: -1}); ; {
		stale := staleRecords{parent: parent}
		if stale.newest, err = newestAttempt(ctx, db); err != nil {
			return err
		}
		var attempts []int64
		if stale.records, attempts, at, err = d.staleBelow(ctx, db, parent, at); err != nil || len(stale.records) == 0 {
			return err
		}
		if first != nil {
			for _, r := range stale.records {
				if err := first(ctx, r); err != nil {
					return err
				}
			}
		}
		if err := d.pieces(ctx, attempts, stale.deleteAttempts); err != nil {
			return err
		}
		if err := d.pieces(ctx, stale.records, stale.deleteRecords); err != nil {
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

// childRow is a place in the index over the children of a parent, and among the attempts of
// the child.
type childRow struct{ series, done, rowid, attempt int64 }

// The stale records below a parent that follow a place. Failed ones have the same done, and
// SQLite uses the rowid in an index only where done is compared for equality.
const (
	staleSameDone = "r.parent_series=?3 and r.done=?4 and r.id>=?5 and (r.id<>?5 or a.id>?6)"
	staleAfter    = "(r.parent_series, r.done) > (?3, ?4)"
)

// staleBelow returns the sorted rowids of stale records directly below a parent that follow a
// place in the index, and those of their attempts. It also returns the place of the last one.
// It reads only indexes.
func (d *deletion) staleBelow(ctx context.Context, q querier, parent int64, at childRow) (records, attempts []int64, last childRow, err error) {
	kept, err := keptSeries(ctx, q, parent)
	var n int
	if err == nil {
		err = q.QueryRowContext(ctx, "select count(*) from records where parent=? and parent<>0 and parent_series<>?", parent, kept).Scan(&n)
	}
	if err != nil || n == 0 {
		return nil, nil, at, err
	}
	n = min(n, d.most)
	records, attempts = make([]int64, 0, n), make([]int64, 0, n) // growing them would need as much again
	for where := staleSameDone; len(records) < d.most; {
		found := 0
		err = each(ctx, q, func(rows *sql.Rows) error {
			before := at.rowid
			err := rows.Scan(&at.series, &at.done, &at.rowid, &at.attempt)
			if at.rowid != before || len(records) == 0 {
				records = append(records, at.rowid)
			}
			if at.attempt != 0 {
				attempts = append(attempts, at.attempt)
			}
			found++
			return err
		}, `select r.parent_series, r.done, r.id, coalesce(a.id, 0) from records r left join attempts a on a.record=r.id
			where r.parent=?1 and r.parent<>0 and r.parent_series<>?2 and `+where+`
			order by r.parent_series, r.done, r.id, a.id limit ?7`, parent, kept, at.series, at.done, at.rowid, at.attempt, d.page)
		switch {
		case err != nil:
			return nil, nil, at, err
		case found == d.page:
			where = staleSameDone
		case where == staleAfter:
			slices.Sort(records)
			slices.Sort(attempts)
			return records, attempts, at, nil
		default:
			where = staleAfter
		}
	}
	slices.Sort(records)
	slices.Sort(attempts)
	return records, attempts, at, nil
}

// attemptName identifies an attempt.
type attemptName struct {
	rowid int64
	runID string
}

// newestAttempt returns the attempt with the greatest rowid.
func newestAttempt(ctx context.Context, q querier) (n attemptName, err error) {
	err = q.QueryRowContext(ctx, "select id, run_id from attempts order by id desc limit 1").Scan(&n.rowid, &n.runID)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}

// staleRecords are records below a parent that were stale at one moment.
//
// Another call may begin such a record again, which makes it a record of the present series
// and deletes its old attempts. Their numbers may then be given to new attempts.
type staleRecords struct {
	parent  int64
	records []int64     // sorted
	newest  attemptName // at an earlier moment
}

// deleter deletes rows that were found to be stale, unless they no longer are.
type deleter func(ctx context.Context, tx querier, gone *spools, ids []int64) error

// pieces deletes rows in pieces.
func (d *deletion) pieces(ctx context.Context, ids []int64, f deleter) error {
	for len(ids) > 0 {
		n := min(d.size, len(ids))
		if err := d.piece(ctx, ids[:n], f); err != nil {
			return err
		}
		ids = ids[n:]
		failpoint.Here("forget.piece")
		time.Sleep(turnTime)
	}
	return nil
}

// piece deletes rows with one commit.
func (d *deletion) piece(ctx context.Context, ids []int64, f deleter) error {
	var gone spools
	var begun time.Time
	var worked time.Duration
	err := d.ledger.write(ctx, func(tx querier) error {
		gone, begun, worked = nil, time.Now(), processorTime()
		return f(ctx, tx, &gone, ids)
	})
	if err != nil {
		return err
	}
	d.ledger.removeSpools(gone)
	worked = max(processorTime()-worked, 1)
	fits := min(float64(pieceTime)/float64(worked), float64(pieceWait)/float64(max(time.Since(begun), 1)))
	d.size = int(min(max(fits*float64(len(ids)), leastPiece), 2*float64(d.size), mostPiece))
	return nil
}

// processorTime returns the time that processors have worked for this process.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// deleteAttempts deletes those of the attempts whose records are still stale.
func (s staleRecords) deleteAttempts(ctx context.Context, tx querier, gone *spools, ids []int64) error {
	// A new attempt gets a number greater than that of every other attempt. While the newest attempt is the
	// same, no number up to it was given again, and an attempt of a stale record never
	// becomes one of another record.
	newest := attemptName{rowid: s.newest.rowid}
	err := tx.QueryRowContext(ctx, "select run_id from attempts where id=?", newest.rowid).Scan(&newest.runID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if newest != s.newest || ids[len(ids)-1] > newest.rowid {
		kept, err := keptSeries(ctx, tx, s.parent)
		if err != nil {
			return err
		}
		if ids, err = numbers(ctx, tx, `select a.id from json_each(?) ids cross join attempts a on a.id=ids.value
			cross join records r on r.id=a.record where r.parent=? and r.parent_series<>?`, jsonOf(ids), s.parent, kept); err != nil {
			return err
		}
	}
	return dropAttempts(ctx, tx, gone, ids, func(record int64) bool {
		_, found := slices.BinarySearch(s.records, record)
		return found
	})
}

// deleteRecords deletes those of the records that are still stale and have no rows.
func (s staleRecords) deleteRecords(ctx context.Context, tx querier, _ *spools, ids []int64) error {
	kept, err := keptSeries(ctx, tx, s.parent)
	if err != nil {
		return err
	}
	for _, id := range ids { // their receipts have what is forgotten
		touch(tx, id)
	}
	_, err = tx.ExecContext(ctx, `delete from records as r where id in (select value from json_each(?)) and parent=? and parent_series<>?
		and not exists (select 1 from attempts a where a.record=r.id)
		and (floor=0 or not exists (select 1 from records c where c.parent=r.id and c.parent<>0))`, jsonOf(ids), s.parent, kept)
	return err
}

// dropHistory deletes the attempts of a record, and adds the spools that they may have.
func dropHistory(ctx context.Context, tx querier, gone *spools, rowid int64) error {
	ids, err := numbers(ctx, tx, "select id from attempts where record=?", rowid)
	if err != nil {
		return err
	}
	return dropAttempts(ctx, tx, gone, ids, func(record int64) bool { return record == rowid })
}

// dropAttempts deletes those of the attempts that belong to certain records, and adds the
// spools that they may have. ids is sorted.
func dropAttempts(ctx context.Context, tx querier, gone *spools, ids []int64, of func(record int64) bool) error {
	for _, span := range spans(ids) {
		var drop []int64
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var id, record int64
			var runID sql.NullString
			var note []byte
			err := rows.Scan(&id, &record, &runID, &note)
			if err != nil || !of(record) {
				return err
			}
			if runID.Valid {
				var a attemptRow
				a.setNote(string(note))
				*gone = append(*gone, struct{ runID, unstarted string }{runID.String, a.unstarted})
			}
			drop = append(drop, id)
			return nil
		}, fmt.Sprintf(`select id, record, case when output_place in (%d, %d) or state='running' then run_id end,
			case state when 'running' then note end from attempts where id`, storageUnknown, storageFile)+span.where, span.args...)
		if err != nil {
			return err
		}
		for _, some := range spans(drop) {
			for _, column := range []string{"outputs where attempt", "files where attempt", "attempts where id"} {
				if _, err := tx.ExecContext(ctx, "delete from "+column+some.where, some.args...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// span is a condition for some numbers.
type span struct {
	where string
	args  []any
}

// fewSpans is the number of numbers in a row, on average, from which on they are looked up as
// ranges.
const fewSpans = 64

// spans returns conditions that together are true for all of the numbers, which are sorted. The
// attempts of a batch usually follow each other.
func spans(numbers []int64) []span {
	var all []span
	for from := 0; from < len(numbers); {
		end := from + 1
		for end < len(numbers) && numbers[end] == numbers[end-1]+1 {
			end++
		}
		if all = append(all, span{" between ? and ?", []any{numbers[from], numbers[end-1]}}); len(all) > 1+len(numbers)/fewSpans {
			return []span{{" in (select value from json_each(?))", []any{jsonOf(numbers)}}}
		}
		from = end
	}
	return all
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
