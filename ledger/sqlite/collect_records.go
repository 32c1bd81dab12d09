package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"idem/ledger"
)

// oldPage is the number of records that OldRecords reads at once.
const oldPage = 500

// dropPage is the number of records that are forgotten together. Each one holds its claim, which is
// a descriptor.
const dropPage = 100

// OldRecords implements ledger.Collecting.
func (l *Ledger) OldRecords(ctx context.Context, before time.Time) iter.Seq2[ledger.OldRecord, error] {
	return func(yield func(ledger.OldRecord, error) bool) {
		if err := l.oldRecords(ctx, before, func(o ledger.OldRecord) bool { return yield(o, nil) }); err != nil {
			yield(ledger.OldRecord{}, l.explain(err))
		}
	}
}

func (l *Ledger) oldRecords(ctx context.Context, before time.Time, yield func(ledger.OldRecord) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	for after := int64(-1); ; {
		var page []recordRow
		last := after
		err := each(ctx, db, func(rows *sql.Rows) error {
			var s attemptScan
			var a attemptRow
			r, err := scanRecord(rows, s.dest()...)
			last = max(last, r.rowid)
			if err == nil {
				a, err = s.attempt(r.rec.ID)
			}
			if errors.Is(l.classify(err), ledger.ErrCorrupt) {
				return nil
			}
			if err != nil {
				return err
			}
			a.a.Inputs = nil
			r.rec.Current = a.a
			page = append(page, r)
			return nil
		}, "select "+recordColumns+", "+attemptColumns+` from records r cross join attempts a on a.id=r.current
			where r.id>? and r.parent=0 and a.state<>'running' and max(a.ended, a.started)<? order by r.id limit ?`, after, micros(before), oldPage)
		if err != nil || last == after {
			return err
		}
		after = last
		for _, r := range page {
			o := ledger.OldRecord{Record: r.rec}
			if o.Below, o.Seen, err = readBelow(ctx, db, r); err != nil {
				return err
			}
			if !yield(o) {
				return nil
			}
		}
	}
}

// belowSQL describes the records below a record ?1 in its series ?2, on all levels.
const belowSQL = `with recursive below(id, series, current) as (
		select id, series, current from records where parent=?1 and parent<>0 and parent_series=?2
		union all
		select r.id, r.series, r.current from below b cross join records r on r.parent=b.id and r.parent<>0 and r.parent_series=b.series)
	select count(*), coalesce(max(max(a.ended, a.started)), 0), coalesce(max(a.state='running'), 0),
		coalesce(sum(a.id + a.started % 1000000007), 0)
	from below b cross join attempts a on a.id=b.current`

// readBelow describes the records below r. The result seen changes with each of their attempts: the number of an
// attempt that was deleted may be given to another one, but that starts later.
func readBelow(ctx context.Context, q querier, r recordRow) (b ledger.Below, seen int64, err error) {
	if r.kin.floor == 0 {
		return b, 0, nil
	}
	var newest int64
	err = q.QueryRowContext(ctx, belowSQL, r.rowid, r.rec.Series).Scan(&b.Records, &newest, &b.Running, &seen)
	b.Newest = fromMicros(newest)
	return b, seen, err
}

// DropRecords implements ledger.Collecting. Records are forgotten as by ForgetIf, many with one
// commit. Then the rows below them are deleted, below one after the other: the size of a piece holds
// for one deletion.
func (l *Ledger) DropRecords(ctx context.Context, records []ledger.OldRecord) (dropped []ledger.OldRecord, err error) {
	defer l.Sustain()()
	for len(records) > 0 {
		some := records[:min(dropPage, len(records))]
		records = records[len(some):]
		errs, tops := make([]error, len(some)), make([]recordRow, len(some))
		var changes []func(ctx context.Context)
		for i, o := range some {
			changes = append(changes, func(ctx context.Context) {
				errs[i] = l.forgetThen(ctx, o.Record.ID, stillOld(ctx, o), func(r recordRow) error { tops[i] = r; return nil })
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
		for _, top := range tops {
			if err == nil {
				err = l.explain(l.deleteBelow(ctx, top))
			}
		}
		if err != nil {
			return dropped, err
		}
		time.Sleep(turnTime)
	}
	return dropped, nil
}

// Sweep implements ledger.Collecting.
func (l *Ledger) Sweep(ctx context.Context) error {
	return l.explain(l.deleteStale(ctx))
}

func (l *Ledger) deleteStale(ctx context.Context) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	parents, err := numbers(ctx, db, `select distinct c.parent from records c cross join records p on p.id=c.parent
		where c.parent<>0 and c.parent_series<>p.series`)
	if err != nil {
		return err
	}
	defer l.Sustain()()
	for _, parent := range parents {
		if err := newDeletion(l).run(ctx, parent); err != nil {
			return err
		}
	}
	return nil
}

// stillOld accepts a record if neither it nor a record below it has changed since it was read.
func stillOld(ctx context.Context, o ledger.OldRecord) func(querier, recordRow, attemptRow) error {
	return func(tx querier, r recordRow, last attemptRow) error {
		if err := asItWas(o.Record)(tx, r, last); err != nil || r.kin.floor == 0 {
			return err
		}
		b, seen, err := readBelow(ctx, tx, r)
		if err == nil && (b != o.Below || seen != o.Seen) {
			err = ledger.ErrChanged
		}
		return err
	}
}
