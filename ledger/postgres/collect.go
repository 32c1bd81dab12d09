package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// storedRecords is the number of records whose outputs are read at once.
const storedRecords = 1000

// pendingAbove is the condition that a record, by its name, or one above it has neither succeeded nor
// is a batch.
func pendingAbove(name string) string {
	return `exists (with recursive above as (
			select p.parent, p.state from {s}.record p where p.id = ` + name + `
			union all select p.parent, p.state from above b join {s}.record p on p.id = b.parent)
		select from above where state not in ('succeeded', 'batch'))`
}

// storedSQL reads the outputs of the records after $1, in the order of their names. Each record has
// at least one row, so that the next page can follow. A record of an earlier series of its parent
// is about to be deleted. The size of an output that has no recorded end is that of its pieces.
func storedSQL() string {
	return fmt.Sprintf(`select r.id, r.namespace, r.key, r.win, r.state, r.parent is not null,
		r.parent is not null and `+pendingAbove("r.parent")+`, x.ref, x.run_id, x.at, x.bytes, x.superseded
	from (select * from {s}.record where id > $1 order by id limit %d) r
	left join lateral (
		select y.ref, y.run_id, y.at, y.superseded, case when y.storage <> %[3]d then y.size
			else (select pg_catalog.sum(pg_catalog.octet_length(o.frames))::pg_catalog.int8 from {s}.output o where o.run_id = y.run_id) end as bytes
		from (select r.seq as ref, r.run_id, coalesce(r.ended, r.started) as at, false as superseded, r.storage, r.size where r.state <> 'running'
			union all select a.seq, a.run_id, coalesce(a.ended, a.started), true, a.storage, a.size from {s}.attempt a where a.id = r.id) y
		where y.storage in (%[2]d, %[4]d, %[3]d)
	) x on x.bytes > 0 and r.seq > 0
		and (r.parent is null or exists (select from {s}.record p where p.id = r.parent and p.series = r.parent_series))
	order by r.id, x.ref`, storedRecords, storageInline, storageUnknown, storageChunks)
}

// StoredOutputs implements ledger.Collecting.
func (l *Ledger) StoredOutputs(ctx context.Context) iter.Seq2[ledger.StoredOutput, error] {
	return func(yield func(ledger.StoredOutput, error) bool) {
		sql := storedSQL()
		for after := []byte{}; ; {
			var page []ledger.StoredOutput
			records := 0
			last := after
			s := l.stmt(sql, wire.Bytes(after))
			s.Each = func(row *wire.Row) error {
				last = row.Bytes()
				records++
				o := ledger.StoredOutput{
					ID:    ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()},
					State: ledger.State(row.Text()), Child: row.Bool(), Pending: row.Bool(),
				}
				if row.Null() {
					return row.Err()
				}
				o.Ref, o.RunID, o.At, o.Bytes, o.Superseded = row.Int(), row.Text(), row.Time(), row.Int(), row.Bool()
				page = append(page, o)
				return row.Err()
			}
			if err := l.do(ctx, wire.Read, s); err != nil {
				yield(ledger.StoredOutput{}, l.explain(err))
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			if records == 0 {
				return
			}
			after = last
		}
	}
}

// removeSQL removes the outputs of the attempts $2 of the records $1, unless a record is running or
// its value is needed.
// Records are locked in the order of their names, as in other statements. After a removal, the
// column size has its time $3 in microseconds.
func removeSQL() string {
	set := fmt.Sprintf(" set storage = %d, size = $3, sum = 0, chunks = 0, inline = null, truncated = x.truncated or x.output_bytes > 0", storageRemoved)
	has := fmt.Sprintf("x.run_id = any ($2) and x.state <> 'running' and x.storage in (%d, %d, %d)", storageInline, storageChunks, storageUnknown)
	return `with free as materialized (select id from {s}.record where id = any ($1) and state <> 'running' order by id for no key update),
		now as (update {s}.record x` + set + ` from free where x.id = free.id and ` + has + `
			and (x.parent is null or not ` + pendingAbove("x.parent") + `) returning x.run_id),
		old as (update {s}.attempt x` + set + ` from free where x.id = free.id and ` + has + ` returning x.run_id),
		gone as (select run_id from now union all select run_id from old),
		pieces as (delete from {s}.output o using gone where o.run_id = gone.run_id)
		select run_id from gone`
}

// removedBytes is the number of bytes that a statement removes: it has to end within tryTimeout.
const removedBytes = 32 << 20

// RemoveOutputs implements ledger.Collecting. If the answer to a statement is lost, its repetition
// does not return what was removed.
func (l *Ledger) RemoveOutputs(ctx context.Context, outputs []ledger.StoredOutput) (removed []ledger.StoredOutput, err error) {
	for len(outputs) > 0 {
		some := outputs[:ledger.FirstFew(outputs, removedBytes, func(o *ledger.StoredOutput) int64 { return o.Bytes })]
		outputs = outputs[len(some):]
		var names [][]byte
		var runs []string
		for _, o := range some {
			names, runs = append(names, nameOf(o.ID)), append(runs, o.RunID)
		}
		s := l.stmt(removeSQL(), wire.BytesArray(names), wire.TextArray(runs), wire.Int(time.Now().UnixMicro()))
		var gone []string // in any order
		s.Each = func(row *wire.Row) error { gone = append(gone, row.Text()); return row.Err() }
		if err := l.do(ctx, wire.Durable, s); err != nil {
			return removed, l.explain(err)
		}
		failpoint.Here("collect.committed")
		for _, o := range some {
			if slices.Contains(gone, o.RunID) {
				removed = append(removed, o)
			}
		}
		l.removeSpools(gone)
	}
	return removed, nil
}
