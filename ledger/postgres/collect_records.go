package postgres

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// oldPage is the number of records that OldRecords reads at once, and dropPage the number that are
// forgotten together.
const (
	oldPage  = 500
	dropPage = 100
)

// allBelow describes the records below a record, on all levels: its name and its series are given. An
// attempt or a mark has a number that no other one has, so their sum changes with each.
func allBelow(name, series string) string {
	return `with recursive below as (
		select c.id, c.series, c.seq, c.state, coalesce(c.ended, c.started) as at from {s}.record c where c.parent = ` + name + ` and c.parent_series = ` + series + `
		union all
		select c.id, c.series, c.seq, c.state, coalesce(c.ended, c.started) from below b join {s}.record c on c.parent = b.id and c.parent_series = b.series)
	select pg_catalog.count(*) as n, pg_catalog.max(at) as at, coalesce(pg_catalog.bool_or(state = 'running'), false) as running,
		coalesce(pg_catalog.sum(seq), 0)::pg_catalog.int8 as seen from below where seq > 0`
}

// oldSQL reads the old records after $1, in the order of their names.
func oldSQL() string {
	return "select " + recordColumns + ", b.n, b.at, b.running, b.seen from {s}.record r, lateral (" +
		allBelow("r.id", "r.series") + `) b
	where r.id > $1 and r.parent is null and r.seq > 0 and r.state <> 'running' and coalesce(r.ended, r.started) < $2
	order by r.id limit $3`
}

// OldRecords implements ledger.Collecting.
func (l *Ledger) OldRecords(ctx context.Context, before time.Time) iter.Seq2[ledger.OldRecord, error] {
	return func(yield func(ledger.OldRecord, error) bool) {
		for after := []byte{}; ; {
			var page []ledger.OldRecord
			s := l.stmt(oldSQL(), wire.Bytes(after), wire.TimeOrNull(before), wire.Int(oldPage))
			s.Each = func(row *wire.Row) error {
				r := scanRecord(row)
				r.rec.Current.Inputs = nil
				o := ledger.OldRecord{Record: r.rec}
				o.Below.Records, o.Below.Newest, o.Below.Running = int(row.Int()), row.Time(), row.Bool()
				o.Seen = row.Int()
				page = append(page, o)
				return row.Err()
			}
			if err := l.do(ctx, wire.Read, s); err != nil {
				yield(ledger.OldRecord{}, l.explain(err))
				return
			}
			for _, o := range page {
				after = nameOf(o.Record.ID)
				if !yield(o, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// DropRecords implements ledger.Collecting. Records are forgotten as by ForgetIf, many at the same
// time. Then the rows below them are deleted, below one after the other: the size of a piece holds for
// one deletion.
func (l *Ledger) DropRecords(ctx context.Context, records []ledger.OldRecord) (dropped []ledger.OldRecord, err error) {
	for len(records) > 0 {
		some := records[:min(dropPage, len(records))]
		records = records[len(some):]
		errs, later := make([]error, len(some)), make([]*deletion, len(some))
		var changes []func(ctx context.Context)
		for i, o := range some {
			changes = append(changes, func(ctx context.Context) {
				errs[i] = l.forgetThen(ctx, o.Record.ID, l.stillOld(o), func(d *deletion) error { later[i] = d; return nil })
			})
		}
		l.Together(ctx, changes...)
		for i, o := range some {
			if errs[i] == nil {
				dropped = append(dropped, o)
			} else if !ledger.Unchanged(errs[i]) {
				err = cmp.Or(err, errs[i]) // one error is enough: a full disk stops all records
			}
		}
		for i, d := range later {
			if err == nil && d != nil {
				err = d.run(ctx, some[i].Record.ID)
			}
		}
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// sweepSQL reads the names of the records after $1 that have stale records below them. With a stale
// record, all below it goes.
func sweepSQL() string {
	return fmt.Sprintf(`select p.id, p.namespace, p.key, p.win from {s}.record p
	where p.id > $1 and exists (select from {s}.record c where c.parent = p.id and c.parent_series < p.series) order by p.id limit %d`, oldPage)
}

// Sweep implements ledger.Collecting.
func (l *Ledger) Sweep(ctx context.Context) error {
	for after := []byte{}; ; {
		var page []ledger.ID
		s := l.stmt(sweepSQL(), wire.Bytes(after))
		s.Each = func(row *wire.Row) error {
			after = row.Bytes()
			page = append(page, ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()})
			return row.Err()
		}
		if err := l.do(ctx, wire.Read, s); err != nil || len(page) == 0 {
			return l.explain(err)
		}
		for _, id := range page {
			d, err := newDeletion(l)
			if err == nil {
				err = d.run(ctx, id)
			}
			if err != nil {
				return err
			}
		}
	}
}

// stillOld accepts a locked record if neither it nor a record below it has changed since it was read.
// No record below can begin until the commit, because that locks the rows above.
func (l *Ledger) stillOld(o ledger.OldRecord) func(*wire.Tx, *record) error {
	return func(t *wire.Tx, r *record) error {
		if err := asItWas(o.Record)(t, r); err != nil {
			return err
		}
		var n, seen int64
		s := l.stmt(allBelow("$1", "$2"), wire.Bytes(nameOf(r.rec.ID)), wire.Int(r.rec.Series))
		s.Each = func(row *wire.Row) error {
			n = row.Int()
			row.Time()
			row.Bool()
			seen = row.Int()
			return row.Err()
		}
		if err := t.Do(s); err != nil {
			return err
		}
		if int(n) != o.Below.Records || seen != o.Seen {
			return ledger.ErrChanged
		}
		return nil
	}
}
