package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/spool"
)

// The limits of a transaction that removes outputs. Deleted bytes are overwritten, so a large
// transaction would make other writers wait.
const (
	removedBytes = 1 << 20 // of outputs in the database; files are deleted after the commit
	storedPage   = 2000    // outputs that are read at once
)

// StoredOutputs implements ledger.Collecting. The attempts are read in the order of their table,
// and only by the columns that are needed: their checksums are compared when an output is removed.
func (l *Ledger) StoredOutputs(ctx context.Context) iter.Seq2[ledger.StoredOutput, error] {
	return func(yield func(ledger.StoredOutput, error) bool) {
		if err := l.storedOutputs(ctx, func(o ledger.StoredOutput) bool { return yield(o, nil) }); err != nil {
			yield(ledger.StoredOutput{}, l.explain(err))
		}
	}
}

func (l *Ledger) storedOutputs(ctx context.Context, yield func(ledger.StoredOutput) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	above := lineage{}
	for after := int64(0); ; {
		page, last, err := l.storedPage(ctx, db, above, after)
		if err != nil || last == after {
			return err
		}
		for _, o := range page {
			if !yield(o) {
				return nil
			}
		}
		after = last
	}
}

// storedPage returns outputs of the attempts after a rowid, and the last rowid that it has read.
func (l *Ledger) storedPage(ctx context.Context, q querier, above lineage, after int64) (page []ledger.StoredOutput, last int64, err error) {
	type row struct {
		record  recordRow
		storage int
		o       ledger.StoredOutput
	}
	var rows []row
	last = after
	err = each(ctx, q, func(found *sql.Rows) error {
		var r row
		var started, ended int64
		var err error
		r.record, err = scanRecord(found, &r.o.Ref, &r.o.RunID, &started, &ended, &r.storage, &r.o.Bytes, &r.o.Superseded, &r.o.State)
		if err != nil {
			return err
		}
		r.o.Child = r.record.kin.parent != 0
		r.o.ID, last = r.record.rec.ID, r.o.Ref
		if r.o.At = fromMicros(ended); ended == 0 {
			r.o.At = fromMicros(started)
		}
		rows = append(rows, r)
		return nil
	}, fmt.Sprintf("select "+recordColumns+`, a.id, a.run_id, a.started, a.ended, a.output_place, a.output_size, a.id<>r.current, c.state
		from attempts a cross join records r on r.id=a.record cross join attempts c on c.id=r.current
		where a.id>? and a.state<>'running' and (a.output_place in (%d, %d) and a.output_size>0 or a.output_place=%d)
		order by a.id limit ?`, storageInline, storageFile, storageUnknown), after, storedPage)
	if err != nil {
		return nil, last, err
	}
	open := unsettled{} // for this page alone: a record above may begin at any time
	for _, r := range rows {
		if r.o.Pending, err = open.above(ctx, q, r.record.kin.parent); err != nil {
			return nil, last, err
		}
		if stale, err := above.stale(ctx, q, r.record); err != nil {
			return nil, last, err
		} else if stale { // its rows are about to be deleted
			continue
		}
		if r.storage == storageUnknown { // idem was killed: there may be a file
			r.o.Bytes, err = l.dir.Size(spoolName(r.o.RunID))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, last, err
			}
		}
		page = append(page, r.o)
	}
	return page, last, nil
}

// RemoveOutputs implements ledger.Collecting.
func (l *Ledger) RemoveOutputs(ctx context.Context, outputs []ledger.StoredOutput) (removed []ledger.StoredOutput, err error) {
	var damaged ledger.DamagedError
	for len(outputs) > 0 {
		n := ledger.FirstFew(outputs, removedBytes, func(o *ledger.StoredOutput) int64 {
			if o.Bytes > spool.InlineMax {
				return 0
			}
			return o.Bytes
		})
		some, bad, err := l.removeOutputs(ctx, outputs[:n])
		removed, damaged.Outputs = append(removed, some...), append(damaged.Outputs, bad...)
		if err != nil {
			return removed, l.explain(err)
		}
		if outputs = outputs[n:]; len(outputs) > 0 {
			time.Sleep(turnTime) // as in a deletion
		}
	}
	if len(damaged.Outputs) > 0 {
		return removed, l.explain(&damaged)
	}
	return removed, nil
}

func (l *Ledger) removeOutputs(ctx context.Context, outputs []ledger.StoredOutput) (removed, damaged []ledger.StoredOutput, err error) {
	wanted := map[int64]ledger.StoredOutput{}
	var ids []int64
	for _, o := range outputs {
		wanted[o.Ref] = o
		ids = append(ids, o.Ref)
	}
	var files []string
	err = l.write(ctx, func(tx querier) error {
		removed, damaged, files = nil, nil, nil
		found, bad, err := l.removable(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, id := range bad {
			damaged = append(damaged, wanted[id])
		}
		var inline []int64
		for _, a := range found {
			o := wanted[a.rowid]
			if a.a.RunID != o.RunID || a.id != o.ID {
				continue
			}
			if err := removeOutput(ctx, tx, a, l.now()); err != nil {
				return err
			}
			removed = append(removed, o)
			if a.storage == storageInline {
				inline = append(inline, a.rowid)
			} else {
				files = append(files, o.RunID)
			}
		}
		for _, some := range spans(inline) {
			if _, err := tx.ExecContext(ctx, "delete from outputs where attempt"+some.where, some.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		failpoint.Here("collect.committed")
		err = l.checkPlace()
	}
	if err != nil {
		return nil, nil, err
	}
	for _, runID := range files {
		l.removeSpool(runID)
	}
	return removed, damaged, nil
}

// removableRow is an attempt whose output may be removed.
type removableRow struct {
	attemptRow
	id     ledger.ID
	stored int64 // the checksum of the stored row
}

// removable returns those of the attempts, in the order of their rowids, that have an output which
// is not needed and whose record is not recorded as running. It also returns those whose rows are
// damaged.
func (l *Ledger) removable(ctx context.Context, tx querier, ids []int64) (found []removableRow, damaged []int64, err error) {
	type row struct {
		removableRow
		parent int64
	}
	var all []row
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var s attemptScan
		var state ledger.State
		var a attemptRow
		r, err := scanRecord(rows, append(s.dest(), &state)...)
		if err == nil {
			a, err = s.attempt(r.rec.ID)
		}
		if errors.Is(l.classify(err), ledger.ErrCorrupt) {
			damaged = append(damaged, s.row.rowid)
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case a.a.State == ledger.Running || state == ledger.Running:
		case a.storage == storageInline, a.storage == storageFile, a.storage == storageUnknown:
			parent := r.kin.parent
			if a.rowid != r.current {
				parent = 0 // a later attempt has replaced the value
			}
			all = append(all, row{removableRow{a, r.rec.ID, s.sum}, parent})
		}
		return nil
	}, "select "+recordColumns+", "+attemptColumns+`, c.state
		from json_each(?) ids cross join attempts a on a.id=ids.value cross join records r on r.id=a.record cross join attempts c on c.id=r.current
		order by a.id`, jsonOf(ids))
	if err != nil {
		return nil, nil, err
	}
	open := unsettled{}
	for _, r := range all {
		pending, err := open.above(ctx, tx, r.parent)
		if err != nil {
			return nil, nil, err
		}
		if !pending {
			found = append(found, r.removableRow)
		}
	}
	return found, damaged, nil
}

// unsettled caches, at one moment, which records have not succeeded, themselves or on a level above.
type unsettled map[int64]bool

// above reports whether a record with this rowid, or one above it, has neither succeeded nor is a
// batch. Nothing has the rowid 0.
func (u unsettled) above(ctx context.Context, q querier, rowid int64) (open bool, err error) {
	if rowid == 0 {
		return false, nil
	}
	open, ok := u[rowid]
	if ok {
		return open, nil
	}
	err = q.QueryRowContext(ctx, `with recursive above(parent, current) as (
			select parent, current from records where id=?
			union all
			select r.parent, r.current from above b cross join records r on r.id=b.parent where b.parent<>0)
		select coalesce(max(coalesce(a.state, '') not in ('succeeded', 'batch')), 0) from above b left join attempts a on a.id=b.current`, rowid).Scan(&open)
	u[rowid] = open
	return open, err
}

// removeOutput records that the output of an attempt was removed.
func removeOutput(ctx context.Context, tx querier, a removableRow, at time.Time) error {
	touch(tx, a.record, true)
	a.setRemoved(at)
	return requireOneRow(tx.ExecContext(ctx, "update attempts set truncated=?, output_place=?, output_size=?, output_sum=?, checksum=? where id=? and checksum=?",
		a.a.Truncated, a.storage, a.size, a.sum, a.checksum(a.id), a.rowid, a.stored))
}
