package postgres

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// historyRecords is the number of records that Histories reads at once, historyAttempts that of
// earlier attempts, and keysPage that of keys in Keys. Tests have smaller pages.
var historyRecords, historyAttempts, keysPage = 500, 2000, 5000

// Histories implements ledger.Histories. The rows of both tables are read page by page, in the
// order of their primary keys, and merged.
func (l *Ledger) Histories(ctx context.Context, namespace string) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		h := &historian{ledger: l, namespace: namespace, processes: sync.OnceValue(filelock.AllLeftovers)}
		h.yield = func(e ledger.Entry) bool {
			h.over = !yield(e, nil)
			return !h.over
		}
		if err := h.all(ctx); err != nil && !h.over {
			yield(ledger.Entry{}, l.explain(err))
		}
	}
}

// historian yields the entries of Histories.
type historian struct {
	ledger    *Ledger
	namespace string
	yield     func(ledger.Entry) bool
	processes func() map[string][]ledger.Process
	here      *local // nil: this host has no locks of the ledger
	over      bool   // no more are wanted
	past      pastRows
}

// pastRecord is a record of a page, with what Entry.Top and Entry.Inner are for it.
type pastRecord struct {
	record
	top   ledger.ID
	inner bool
}

func (h *historian) all(ctx context.Context) (err error) {
	if h.here, err = h.ledger.openLocal(ctx, false); err != nil {
		return err
	}
	for last, more := []byte{}, true; more && !h.over; {
		page, next, n, err := h.page(ctx, last)
		if err != nil {
			return err
		}
		last, more = next, n == historyRecords
		if len(page) == 0 {
			continue
		}
		h.past = pastRows{ledger: h.ledger, namespace: h.namespace, from: nameOf(page[0].rec.ID), to: nameOf(page[len(page)-1].rec.ID), seq: math.MinInt64, more: true}
		for _, r := range page {
			if err := h.record(ctx, r); err != nil || h.over {
				return err
			}
		}
	}
	return nil
}

// page reads the records after the name last, in the order of their names. It returns also the
// last name, and the number of rows. Forgotten records are omitted.
func (h *historian) page(ctx context.Context, last []byte) ([]pastRecord, []byte, int, error) {
	args := []wire.Arg{wire.Bytes(last), wire.Int(historyRecords)}
	from := " from {s}.record r where r.id > $1 and r.seq > 0"
	if h.namespace != "" {
		args = append(args, wire.Raw(h.namespace))
		from += " and r.namespace = $3"
	}
	from += " order by r.id limit $2"
	var rows []record
	records := h.ledger.stmt("select "+listedColumns()+from, args...)
	above := map[string]ancestor{}
	runs := map[string]bool{} // whether a record above has attempts
	parents := h.ledger.stmt(`with recursive c as (select r.parent`+from+`),
		a as (select p.id, p.parent, p.parent_series, p.series, p.attempts from {s}.record p where p.id in (select c.parent from c where c.parent is not null)
			union select p.id, p.parent, p.parent_series, p.series, p.attempts from a join {s}.record p on p.id = a.parent)
		select * from a`, args...)
	parents.Each = func(row *wire.Row) error {
		name, a := scanAncestor(row)
		above[name], runs[name] = a, row.Int() > 0
		return nil
	}
	records.Each = func(row *wire.Row) error {
		rows = append(rows, scanRecord(row))
		return nil
	}
	// A record may change between the statements, and one above it is then not found. Then they are
	// sent again.
	for range 3 {
		rows = nil
		clear(above)
		clear(runs)
		err := h.ledger.retry(ctx, h.ledger.opt.ConnectTimeout, func(ctx context.Context) error {
			rows = nil
			return h.ledger.session.Alone(ctx, wire.Read, h.ledger.inOrder(), records, parents)
		})
		if err != nil {
			return nil, nil, 0, err
		}
		if page, known := place(rows, above, runs); known {
			if len(rows) > 0 {
				last = nameOf(rows[len(rows)-1].rec.ID)
			}
			return page, last, len(rows), nil
		}
	}
	return nil, nil, 0, fmt.Errorf("%w: a record above another one is gone", ledger.ErrCorrupt)
}

// place omits forgotten records, and finds the records above the other ones. It reports false if
// one of them is not known.
func place(rows []record, above map[string]ancestor, runs map[string]bool) ([]pastRecord, bool) {
	page := make([]pastRecord, 0, len(rows))
	for _, r := range rows {
		stale, known := r.staleBelow(above)
		if !known {
			return nil, false
		}
		if stale {
			continue
		}
		p := pastRecord{record: r, top: r.rec.ID}
		for name := r.parent; name != nil; name = above[string(name)].parent {
			p.top, p.inner = parentOf(r.rec.ID, name), p.inner || runs[string(name)]
		}
		page = append(page, p)
	}
	return page, true
}

// record yields the attempts of a record.
func (h *historian) record(ctx context.Context, r pastRecord) error {
	e := ledger.Entry{ID: r.rec.ID, Top: r.top, Inner: r.inner}
	rec := r.rec
	switch rec.Current.State {
	case ledger.Running:
		var err error
		if rec, err = h.ledger.seen(ctx, r.record, h.processes); err != nil {
			return err
		}
	case ledger.Failed:
		rec.Lease = r.lease.describe(h.here != nil && r.lease.site == h.here.site)
	}
	rec.Alive = rec.Alive && rec.Current.State == ledger.Running
	rec.Current.Inputs = nil
	if rec.Current.RunID != r.rec.Current.RunID {
		return h.changed(ctx, e, rec)
	}
	for {
		row, ok, err := h.past.before(ctx, nameOf(rec.ID), r.seq)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if e.Attempt, e.Stored = row.at, row.stored; !h.yield(e) {
			return nil
		}
	}
	e.Attempt, e.Record, e.Stored = rec.Current, &rec, r.out.stored()
	h.yield(e)
	return nil
}

// changed yields the attempts of a record that got a further one while it was read.
func (h *historian) changed(ctx context.Context, e ledger.Entry, rec ledger.Record) error {
	attempts, err := h.ledger.Attempts(ctx, rec.ID)
	if err != nil {
		return err
	}
	for _, at := range attempts {
		at.Inputs = nil
		if e.Attempt = at; at.RunID == rec.Current.RunID {
			e.Record = &rec
		}
		if !h.yield(e) || e.Record != nil {
			return nil
		}
	}
	return nil
}

// pastRows reads the rows of earlier attempts in the order of the records.
type pastRows struct {
	ledger    *Ledger
	namespace string
	from, to  []byte // the names of the records
	seq       int64  // of the last row that was read
	more      bool   // there may be further rows
	rows      []pastRow
}

type pastRow struct {
	name   []byte
	seq    int64
	at     ledger.Attempt
	stored int64
}

// before returns the next attempt of a record before seq. It reports false if there is none.
func (e *pastRows) before(ctx context.Context, name []byte, seq int64) (pastRow, bool, error) {
	for {
		if len(e.rows) == 0 {
			if !e.more {
				return pastRow{}, false, nil
			}
			if err := e.read(ctx); err != nil {
				return pastRow{}, false, err
			}
			continue
		}
		row := e.rows[0]
		order := bytes.Compare(row.name, name)
		if order > 0 {
			return pastRow{}, false, nil
		}
		e.rows = e.rows[1:]
		if order == 0 && row.seq < seq { // else it belongs to a forgotten record, or is newer than the page
			return row, true, nil
		}
	}
}

func (e *pastRows) read(ctx context.Context) error {
	args := []wire.Arg{wire.Bytes(e.from), wire.Int(e.seq), wire.Bytes(e.to), wire.Int(historyAttempts)}
	where := "(a.id, a.seq) > ($1, $2) and a.id <= $3"
	if e.namespace != "" {
		args = append(args, wire.Raw(e.namespace))
		where += " and exists (select from {s}.record r where r.id = a.id and r.namespace = $5)"
	}
	page := e.ledger.stmt("select a.id, a.seq, "+withoutInputs("a.")+" from {s}.attempt a where "+where+" order by a.id, a.seq limit $4", args...)
	page.Each = func(row *wire.Row) error {
		r := pastRow{name: row.Bytes(), seq: row.Int()}
		var out output
		r.at, out = scanAttempt(row)
		r.at.Inputs, r.stored = nil, out.stored()
		e.rows = append(e.rows, r)
		return nil
	}
	if err := e.ledger.readInOrder(ctx, page); err != nil {
		return err
	}
	e.more = len(e.rows) == historyAttempts
	if n := len(e.rows); n > 0 {
		e.from, e.seq = e.rows[n-1].name, e.rows[n-1].seq
	}
	return nil
}

// Keys implements ledger.Histories.
func (l *Ledger) Keys(ctx context.Context, namespace string) iter.Seq2[ledger.ID, error] {
	return func(yield func(ledger.ID, error) bool) {
		for last, more := []byte{}, true; more; {
			args := []wire.Arg{wire.Bytes(last), wire.Int(keysPage)}
			where := "r.id > $1 and r.parent is null"
			if namespace != "" {
				args = append(args, wire.Raw(namespace))
				where += " and r.namespace = $3"
			}
			var ids []ledger.ID
			page := l.stmt("select r.id, r.namespace, r.key, r.win from {s}.record r where "+where+
				" and (r.seq > 0 or exists (select from {s}.record c where c.parent = r.id)) order by r.id limit $2", args...)
			page.Each = func(row *wire.Row) error {
				last = row.Bytes()
				ids = append(ids, ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()})
				return nil
			}
			if err := l.readInOrder(ctx, page); err != nil {
				yield(ledger.ID{}, err)
				return
			}
			more = len(ids) == keysPage
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
}
