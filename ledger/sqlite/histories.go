package sqlite

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
)

// maxLineage bounds the number of rows in the lineage of Histories.
const maxLineage = 10_000

// Histories implements ledger.Histories. It reads page by page, as List does, in the order
// of the table.
func (l *Ledger) Histories(ctx context.Context, namespace string) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		if err := l.histories(ctx, namespace, func(e ledger.Entry) bool { return yield(e, nil) }); err != nil {
			yield(ledger.Entry{}, l.explain(err))
		}
	}
}

func (l *Ledger) histories(ctx context.Context, namespace string, yield func(ledger.Entry) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, listCache); err != nil { // attempts are at random places
		return err
	}
	h := &historian{ledger: l, db: db, namespace: namespace, yield: yield, processes: sync.OnceValue(filelock.AllLeftovers), above: lineage{}}
	for {
		page, err := h.page(ctx)
		if err != nil || len(page) == 0 {
			return err
		}
		for whole := true; whole && len(page) > 0; {
			n := 1
			for n < len(page) && page[n].r.rowid == page[0].r.rowid {
				n++
			}
			// The record at the end of a full page may have further rows.
			whole = n < len(page) || !h.full
			if !whole && n < historyPage {
				break
			}
			if over, err := h.record(ctx, page[:n:n], whole); over || err != nil {
				return err
			}
			page = page[n:]
		}
	}
}

// historyPage is the number of attempts that Histories reads at once, and keysPage that of
// keys in Keys. Tests have smaller pages.
var historyPage, keysPage = 1000, 5000

// historian yields the entries of Histories.
type historian struct {
	ledger    *Ledger
	db        *database
	namespace string
	yield     func(ledger.Entry) bool
	processes func() map[string][]ledger.Process
	above     lineage
	// record and attempt are the numbers of the last row that was handled.
	lastRecord, lastAttempt int64
	full                    bool         // the page has as many rows as it can have
	rows                    []historyRow // the page
}

// historyRow is an attempt with its record.
type historyRow struct {
	r recordRow
	a attemptRow
}

// page reads the next rows: the further ones of a record, or those of the next records.
func (h *historian) page(ctx context.Context) ([]historyRow, error) {
	if h.lastAttempt > 0 {
		if page, err := h.read(ctx); err != nil || len(page) > 0 {
			return page, err
		}
		h.lastAttempt = 0 // another process has deleted its further rows
	}
	return h.read(ctx)
}

// query returns the statement of a page. Both forms seek their first row. One statement for
// both would read all attempts of a record again for each page.
func (h *historian) query() (statement string, args []any) {
	where, args := "r.id > ?", []any{h.lastRecord}
	if h.lastAttempt > 0 {
		where, args = "r.id = ? and a.id > ?", []any{h.lastRecord, h.lastAttempt}
	}
	if h.namespace != "" {
		where, args = where+" and r.namespace = ?", append(args, []byte(h.namespace))
	}
	return "select " + recordColumns + ", " + attemptColumns + ` from records r cross join attempts a on a.record = r.id
		where r.current <> 0 and ` + where + " order by r.id, a.id limit ?", append(args, historyPage)
}

func (h *historian) read(ctx context.Context) ([]historyRow, error) {
	statement, args := h.query()
	h.rows = h.rows[:0]
	row := newRowScan()
	err := h.db.bulk(ctx, func(r *bulkRow) error {
		err := row.scan(r)
		h.rows = append(h.rows, historyRow{row.r, row.a})
		return err
	}, statement, args...)
	h.full = len(h.rows) == historyPage
	return h.rows, err
}

// record yields rows of one record. whole says that they include its current attempt. Else
// the last row is left for the next page, because it may be the current one.
func (h *historian) record(ctx context.Context, rows []historyRow, whole bool) (over bool, err error) {
	if len(h.above) > maxLineage {
		clear(h.above)
	}
	r := rows[len(rows)-1].r
	stale, err := h.above.stale(ctx, h.db, r)
	if err != nil {
		return false, err
	}
	var rec *ledger.Record
	if whole && !stale {
		if rec, rows, err = h.current(ctx, rows); err != nil {
			return false, err
		}
	} else if !whole {
		rows = rows[:len(rows)-1]
	}
	h.lastRecord, h.lastAttempt = r.rowid, 0
	if !whole {
		h.lastAttempt = rows[len(rows)-1].a.rowid
	}
	if stale {
		return false, nil
	}
	top, inner := h.above.top(r)
	for i, row := range rows {
		e := ledger.Entry{ID: r.rec.ID, Attempt: row.a.a, Top: top, Inner: inner, Stored: row.a.stored()}
		if i == len(rows)-1 {
			e.Record = rec
		}
		if !h.yield(e) {
			return true, nil
		}
	}
	return false, nil
}

// current returns the record of rows, as List yields it. If another process has changed it,
// or if its last attempt was never started, it returns other rows.
func (h *historian) current(ctx context.Context, rows []historyRow) (*ledger.Record, []historyRow, error) {
	last := &rows[len(rows)-1]
	rec := last.r.rec
	rec.Current = last.a.a
	if last.a.rowid != last.r.current {
		return nil, nil, fmt.Errorf("%w: the record of key %q", ledger.ErrCorrupt, rec.ID.Key)
	}
	for rec.Current.State == ledger.Running {
		var err error
		if rec, err = h.ledger.get(ctx, h.db, rec.ID, h.processes); err != nil {
			return nil, nil, err
		}
		if len(rows) > 0 && rows[len(rows)-1].a.a.RunID == rec.Current.RunID {
			rows[len(rows)-1].a.a = rec.Current
			break
		}
		attempts, err := h.ledger.history(ctx, h.db, rec.ID)
		if err == nil && len(attempts) > 0 {
			attempts, err = h.ledger.withoutUnstarted(rec.ID, attempts)
		}
		if err != nil {
			return nil, nil, err
		}
		rows = rows[:0]
		for _, a := range attempts {
			if h.lastRecord != a.record || a.rowid > h.lastAttempt { // else it was yielded
				rows = append(rows, historyRow{a: a})
			}
		}
		if n := len(attempts); n > 0 && attempts[n-1].a.RunID != rec.Current.RunID {
			rec.Current.State = ledger.Running // it has changed again
		}
	}
	for i := range rows {
		rows[i].a.a.Inputs = nil
	}
	rec.Alive = rec.Alive && rec.Current.State == ledger.Running
	rec.Current.Inputs = nil
	return &rec, rows, nil
}

// top returns what Entry.Top and Entry.Inner are for r, which is not stale.
func (l lineage) top(r recordRow) (id ledger.ID, inner bool) {
	for r.kin.parent != 0 {
		r = l[r.kin.parent]
		inner = inner || r.rec.Attempts > 0
	}
	return r.rec.ID, inner
}

// Keys implements ledger.Histories.
func (l *Ledger) Keys(ctx context.Context, namespace string) iter.Seq2[ledger.ID, error] {
	return func(yield func(ledger.ID, error) bool) {
		if err := l.keys(ctx, namespace, func(id ledger.ID) bool { return yield(id, nil) }); err != nil {
			yield(ledger.ID{}, l.explain(err))
		}
	}
}

func (l *Ledger) keys(ctx context.Context, namespace string, yield func(ledger.ID) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	for last, more := int64(0), true; more; {
		var page []ledger.ID
		if page, last, err = readKeys(ctx, db, namespace, last); err != nil {
			return err
		}
		more = len(page) == keysPage
		for _, id := range page {
			if !yield(id) {
				return nil
			}
		}
	}
	return nil
}

func readKeys(ctx context.Context, q *database, namespace string, last int64) ([]ledger.ID, int64, error) {
	where, args := "", []any{last}
	if namespace != "" {
		where, args = " and namespace = ?", append(args, []byte(namespace))
	}
	page := make([]ledger.ID, 0, keysPage)
	var id ledger.ID
	err := q.bulk(ctx, func(r *bulkRow) error {
		err := r.Scan(&last, &id.Namespace, &id.Key, &id.Window)
		page = append(page, id)
		return err
	}, "select id, namespace, key, window from records where id > ?"+where+
		" and parent = 0 and (current <> 0 or floor > 0) order by id limit ?", append(args, keysPage)...)
	return page, last, err
}
