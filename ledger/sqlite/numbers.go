package sqlite

import (
	"context"
	"database/sql"
	"iter"

	"idem/ledger"
)

// Numbers implements ledger.Transferring.
func (l *Ledger) Numbers(ctx context.Context, namespace string) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if err := l.numbers(ctx, namespace, func(r ledger.Record) bool { return yield(r, nil) }); err != nil {
			yield(ledger.Record{}, l.explain(err))
		}
	}
}

// numbers reads the records page by page, in the order of their rowids: the beginning of the
// SHA-256 of the name.
func (l *Ledger) numbers(ctx context.Context, namespace string, yield func(ledger.Record) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	above := lineage{}
	for last := int64(-1); ; {
		var page []recordRow
		err := each(ctx, db, func(rows *sql.Rows) error {
			r, err := scanRecord(rows)
			page = append(page, r)
			return err
		}, "select "+recordColumns+` from records r where r.id > ? and (r.series <> 0 or r.current = 0)
			and (? = '' or r.namespace = ?) order by r.id limit ?`, last, namespace, []byte(namespace), listPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			last = r.rowid
			told, err := mustBeTold(ctx, db, &r, above)
			if err != nil {
				return err
			}
			if told && !yield(r.rec) {
				return nil
			}
		}
	}
}

// mustBeTold reports whether another ledger would give r other numbers, and sets the run ID of r if
// it has a history.
func mustBeTold(ctx context.Context, q querier, r *recordRow, above lineage) (bool, error) {
	stale, err := above.stale(ctx, q, *r)
	if err != nil || stale {
		return false, err // the series of the record above covers its numbers
	}
	if r.current != 0 {
		again, a, err := readBoth(ctx, q, r.rec.ID)
		r.rec = again.rec
		r.rec.Current = ledger.Attempt{RunID: a.a.RunID}
		return again.rowid != 0, err
	}
	fresh, err := newRecord(ctx, q, r.rec.ID)
	return r.rec.Series != 0 || r.rec.Generation > fresh.rec.Generation || r.rec.Fence > fresh.rec.Fence, err
}
