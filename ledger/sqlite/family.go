package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/survey"
)

// A record is stale when it belongs to an earlier series of its parent, or when its parent
// is stale. It is then forgotten: readBoth returns it without its history, as it will be
// after the next Begin, which also deletes the history.
//
// These numbers make sure that no generation and no fence returns, even after the row of a
// record was deleted:
//   - The floor of a record is at least every generation, fence, series and floor of the
//     records below it, see raiseFloor. So it also covers rows that were deleted.
//   - A new series is greater than the floor, see renew.
//   - A stale record, and a new one below a recorded key, have numbers that are greater than
//     the series of all records above, see forgotten and newRecord.

// kin are the columns of a record that concern steps and items.
type kin struct {
	parent       int64 // rowid of the parent, 0 for none
	parentSeries int64 // the series of the parent that the record belongs to
	floor        int64 // 0 if there never was a record below
	done         int64 // see doneBy
}

// findParent sets Parent from the number of the parent. It reports false when no prefix of
// the key has this number.
func (r *recordRow) findParent() bool {
	r.rec.Parent = ledger.ID{}
	if r.kin.parent == 0 {
		return true
	}
	for prefix := range prefixes(r.rec.ID) {
		if numberOf(prefix) == r.kin.parent {
			r.rec.Parent = prefix
			return true
		}
	}
	return false
}

// prefixes yields the IDs that id may be below, the longest key first.
func prefixes(id ledger.ID) func(yield func(ledger.ID) bool) {
	return func(yield func(ledger.ID) bool) {
		for i := strings.LastIndexByte(id.Key, '/'); i >= 0; i = strings.LastIndexByte(id.Key[:i], '/') {
			if !yield(ledger.ID{Namespace: id.Namespace, Key: id.Key[:i], Window: id.Window}) {
				return
			}
		}
	}
}

// newRecord returns the record of a key that has none.
func newRecord(ctx context.Context, q querier, id ledger.ID) (recordRow, error) {
	return newBelow(ctx, q, id, nil)
}

// newChild is newRecord for a record that adopt then makes a child of parent, unless that is
// the zero ID.
func newChild(ctx context.Context, tx querier, id, parent ledger.ID) (recordRow, error) {
	if parent == (ledger.ID{}) {
		return newRecord(ctx, tx, id)
	}
	above, err := readRow(ctx, tx, numberOf(parent))
	if err != nil || above.rec.ID != parent || above.kin.parent != 0 { // adopt reads it
		return newRecord(ctx, tx, id)
	}
	r, err := newBelow(ctx, tx, id, &above)
	r.above = &above
	return r, err
}

// readUnseen is readBoth for a record that is probably missing. It reports false if readBoth has
// to be asked. It reads the record above with the same query, because each query of the second
// connection takes locks and reads its pages again after a commit.
func readUnseen(ctx context.Context, q querier, id ledger.ID) (recordRow, bool, error) {
	i := strings.IndexByte(id.Key, '/')
	if i < 0 || i != strings.LastIndexByte(id.Key, '/') {
		return recordRow{}, false, nil
	}
	parent := ledger.ID{Namespace: id.Namespace, Key: id.Key[:i], Window: id.Window}
	var exists bool
	above, err := scanRecord(q.QueryRowContext(ctx, "select "+recordColumns+`, exists (select 1 from records c
		where c.id=? or c.namespace=? and c.key=? and c.window=?) from records r`+byNumber, append(nameArgs(id), numberOf(parent))...), &exists)
	if err != nil || exists || above.rec.ID != parent {
		return recordRow{}, false, nil
	}
	r, err := newBelow(ctx, q, id, &above)
	return r, true, err
}

// newBelow is newRecord. known is a record above that was read already, or nil.
func newBelow(ctx context.Context, q querier, id ledger.ID, known *recordRow) (recordRow, error) {
	r := recordRow{rec: ledger.Record{ID: id, Generation: 1}}
	for prefix := range prefixes(id) {
		var above recordRow
		var err error
		if known != nil && known.rec.ID == prefix {
			above = *known
		} else {
			above, err = readRow(ctx, q, numberOf(prefix))
		}
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err = above.belongs(prefix, err); err != nil {
			return r, err
		}
		r.rec.Fence = max(r.rec.Fence, above.rec.Series)
		r.rec.Generation = r.rec.Fence + 1
	}
	return r, nil
}

// readRow reads the row with a number.
func readRow(ctx context.Context, q querier, rowid int64) (recordRow, error) {
	return scanRecord(q.QueryRowContext(ctx, "select "+recordColumns+" from records r"+byNumber, rowid))
}

// resolve changes a stale record into a forgotten one. Its first result reports that another
// process changed the record since it was read.
func (r *recordRow) resolve(ctx context.Context, q querier) (bool, error) {
	series, stale := int64(0), false
	for child := *r; child.kin.parent != 0; {
		parent, err := readRow(ctx, q, child.kin.parent)
		if errors.Is(err, sql.ErrNoRows) { // the row of a child is deleted before that of its parent
			again, err := readRow(ctx, q, r.rowid)
			if errors.Is(err, sql.ErrNoRows) || err == nil && again.stored != r.stored {
				return true, nil
			}
			if err == nil {
				err = fmt.Errorf("%w: the record above key %q is gone", ledger.ErrCorrupt, child.rec.ID.Key)
			}
			return false, err
		}
		if err = parent.belongs(child.rec.Parent, err); err != nil {
			return false, err
		}
		stale = stale || child.kin.parentSeries != parent.rec.Series
		series = max(series, parent.rec.Series)
		child = parent
	}
	if stale {
		r.forgotten(series)
	}
	return false, nil
}

// forgotten makes r the record that a stale one is read as. The argument is the greatest
// series of the records above.
func (r *recordRow) forgotten(series int64) {
	r.stale = true
	r.rec.Generation, r.rec.Fence = max(r.rec.Generation, series)+1, max(r.rec.Fence, series)
	r.rec.Attempts, r.current = 0, 0
	r.rec.Parent = ledger.ID{}
	r.kin.parent, r.kin.parentSeries, r.kin.done = 0, 0, 0
	r.newSeries()
}

// newSeries begins a new series. Without a record below, no record needs one.
func (r *recordRow) newSeries() {
	if r.kin.floor > 0 {
		r.rec.Series = max(r.rec.Series, r.kin.floor) + 1
	}
}

// lineage caches the rows of parents for a list.
type lineage map[int64]recordRow

// stale reports whether r is stale. The cache is used only for the answer that it is not,
// because a parent may have got a new series since.
func (l lineage) stale(ctx context.Context, q querier, r recordRow) (bool, error) {
	for child, cached := r, true; child.kin.parent != 0; {
		parent, ok := l[child.kin.parent]
		if !ok || parent.rec.Series != child.kin.parentSeries {
			cached = false
		}
		if !cached {
			var err error
			parent, err = readRow(ctx, q, child.kin.parent)
			if errors.Is(err, sql.ErrNoRows) { // deleted since r was read
				return true, nil
			}
			if err = parent.belongs(child.rec.Parent, err); err != nil {
				return false, err
			}
			l[child.kin.parent] = parent
		}
		if parent.rec.Series != child.kin.parentSeries {
			return true, nil
		}
		child = parent
	}
	return false, nil
}

// raiseFloor raises the floor of the parent to the numbers of r, which writeRecord has just
// stored. Usually the floor is high enough.
func (r *recordRow) raiseFloor(ctx context.Context, tx querier) error {
	if r.kin.parent == 0 {
		return nil
	}
	var parent recordRow
	if r.above != nil {
		parent, r.above = *r.above, nil
	} else {
		var err error
		if parent, err = readRow(ctx, tx, r.kin.parent); err != nil {
			return err
		}
	}
	floor := max(r.rec.Generation, r.rec.Fence, r.rec.Series, r.kin.floor)
	if parent.kin.floor >= floor {
		return nil
	}
	parent.kin.floor = floor
	return writeRecord(ctx, tx, &parent)
}

// adopt makes r a child of o.Parent, if there is one. The caller stores r.
func (l *Ledger) adopt(ctx context.Context, tx querier, r *recordRow, o ledger.Origin, gone *spools) error {
	if o.Parent == (ledger.ID{}) {
		return nil
	}
	if err := o.Check(r.rec.ID); err != nil {
		return err
	}
	var parent recordRow
	if r.above != nil && r.above.rec.ID == o.Parent {
		parent = *r.above
	} else {
		var err error
		if parent, _, err = readBoth(ctx, tx, o.Parent); err != nil {
			return err
		}
	}
	if parent.rowid == 0 || parent.stale {
		if err := parent.dropStale(ctx, tx, gone); err != nil {
			return err
		}
		if err := writeRecord(ctx, tx, &parent); err != nil {
			return err
		}
	}
	if parent.kin.floor == 0 { // perhaps the first record below another one
		if _, err := tx.ExecContext(ctx, "create index if not exists "+familyIndex); err != nil {
			return err
		}
	}
	r.rec.Parent = o.Parent
	r.kin.parent, r.kin.parentSeries = parent.rowid, parent.rec.Series
	r.above = &parent
	return nil
}

// Adopt implements ledger.Claim.
func (c *claim) Adopt(ctx context.Context, o ledger.Origin) error {
	if err := errors.Join(c.checkHeld(), ctx.Err()); err != nil {
		return err
	}
	c.takeFirst()
	l := c.ledger
	var gone spools // of the parent, if its record is forgotten
	err := l.write(context.WithoutCancel(ctx), func(tx querier) error {
		gone = nil
		r, last, err := readBoth(ctx, tx, c.id)
		if err != nil || r.current == 0 || r.kin.parent != 0 {
			return err
		}
		if err := l.adopt(ctx, tx, &r, o, &gone); err != nil {
			return err
		}
		r.kin.done = r.doneBy(last.a)
		return writeRecord(ctx, tx, &r)
	})
	if err == nil {
		l.removeSpools(gone)
		err = l.checkPlace()
	}
	return l.explain(err)
}

// familyIndex finds the records below another one. A ledger without such records has no
// index: each process that opens the ledger would parse its definition, which costs a replay
// 2 %.
const familyIndex = "records_parent on records (parent, parent_series, done) where parent <> 0"

// renew begins a new series of r. The caller stores r. The error is a *ledger.BusyError when
// a record below is alive.
func (l *Ledger) renew(ctx context.Context, tx querier, r *recordRow) error {
	if r.rowid == 0 || r.kin.floor == 0 {
		return nil
	}
	if err := l.requireIdle(ctx, tx, r.rowid, r.rec.Series, filelock.SearchOnce()); err != nil {
		return err
	}
	r.newSeries()
	return nil
}

// requireIdle returns a *ledger.BusyError if a record below a parent is alive. A success
// that has records below is not looked into: what its command left behind does not count.
func (l *Ledger) requireIdle(ctx context.Context, tx querier, parent, series int64, processes func(runID string) bool) error {
	rows, err := tx.QueryContext(ctx, `select r.id, r.series, r.floor, coalesce(a.state, '')
		from records r left join attempts a on a.id = r.current
		where r.parent=? and r.parent<>0 and r.parent_series=? and r.done=0 and (a.state='running' or r.floor>0)`, parent, series)
	if err != nil {
		return err
	}
	defer rows.Close()
	type child struct {
		rowid, series, floor int64
		state                ledger.State
	}
	var children []child
	for rows.Next() {
		var c child
		if err := rows.Scan(&c.rowid, &c.series, &c.floor, &c.state); err != nil {
			return err
		}
		children = append(children, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, c := range children {
		if c.state == ledger.Running {
			row, err := readRow(ctx, tx, c.rowid)
			if err == nil {
				row, _, err = readBoth(ctx, tx, row.rec.ID)
			}
			if err != nil {
				return err
			}
			if alive, err := l.alive(row.rec.ID); err != nil {
				return err
			} else if alive || processes(row.rec.Current.RunID) {
				row.rec.Alive = true
				return &ledger.BusyError{ID: row.rec.ID, Record: row.rec}
			}
		}
		if c.floor > 0 {
			if err := l.requireIdle(ctx, tx, c.rowid, c.series, processes); err != nil {
				return err
			}
		}
	}
	return nil
}

// doneBy returns the column done of a child whose current attempt is a: 0, or for a success a
// hash of its name and its fingerprint.
func (r recordRow) doneBy(a ledger.Attempt) int64 {
	if r.kin.parent == 0 || a.State != ledger.Succeeded {
		return 0
	}
	return survey.DoneOf(filelock.NameOf(r.rec.ID), a.Fingerprint)
}

// spools are attempts whose files are to be removed after the commit. They are also removed
// from the lists of attempts that were not started.
type spools []struct{ runID, unstarted string }

// dropStale deletes the history of a stale record.
func (r *recordRow) dropStale(ctx context.Context, tx querier, gone *spools) error {
	if !r.stale {
		return nil
	}
	r.stale = false
	return dropHistory(ctx, tx, gone, r.rowid)
}
