package sqlite

import (
	"context"
	"errors"
	"slices"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Put implements ledger.Receiving. Large outputs are written before the transaction, to files that
// are named like those of new runs. A kill -9 before the commit leaves files that no record names.
// They are orphans, which idem gc removes.
func (c *claim) Put(ctx context.Context, im ledger.Import) error {
	l := c.ledger
	origin := ledger.Origin{Parent: im.Parent}
	if err := errors.Join(c.checkHeld(), ctx.Err(), origin.Check(c.id)); err != nil {
		return err
	}
	c.takeFirst()
	c.mu.Lock()
	executing := c.life != nil
	c.mu.Unlock()
	if executing {
		return l.busy(ctx, c.id, false)
	}
	in, err := l.receive(im.Next)
	defer func() {
		for i := range in {
			in[i].discard(l)
		}
	}()
	var own, other error = nil, err
	if err == nil {
		own, other = l.put(context.WithoutCancel(ctx), c.id, im, in)
	}
	l.recent.Store(nil) // the rows of its attempts are new
	if other != nil {
		return other
	}
	if own == nil {
		own = l.checkPlace()
	}
	if errors.Is(own, ledger.ErrChanged) || errors.Is(own, ledger.ErrHistory) {
		return own
	}
	return l.explain(own)
}

// put stores a record. The second error is one of the caller's file.
func (l *Ledger) put(ctx context.Context, id ledger.ID, im ledger.Import, in []incoming) (own, foreign error) {
	named, foreign, own := l.nameSpools(ctx, id, in)
	if own == nil && foreign == nil && len(named) > 0 {
		own = l.syncSpools()
	}
	var gone spools
	var undone, last attemptRow
	if own == nil && foreign == nil {
		failpoint.Here("put.named")
		change := func(tx querier) (err error) {
			gone = nil
			undone, last, err = l.replace(ctx, tx, id, im, in, &gone)
			return err
		}
		if im.Next == nil {
			own = l.write(ctx, change)
		} else {
			own = l.confirmed(ctx, l.write, id, &last, change)
		}
	}
	if own == nil && foreign == nil {
		undone.forgetUnstarted()
		l.removeSpools(gone)
	} else if !errors.Is(own, errUnknown) {
		for _, runID := range named {
			l.removeSpool(runID)
		}
	}
	return own, foreign
}

// replace makes in the history of a record. undone is that of readClaimed, and last the row of the
// latest attempt.
func (l *Ledger) replace(ctx context.Context, tx querier, id ledger.ID, im ledger.Import, in []incoming, gone *spools) (undone, last attemptRow, err error) {
	now, was, undone, err := readClaimed(ctx, tx, id)
	if err != nil {
		return undone, last, err
	}
	if differs(im.Expect, now.rec.Generation, was.a) {
		return undone, last, ledger.ErrChanged
	}
	has := func(runID string) bool {
		return slices.ContainsFunc(in, func(n incoming) bool { return n.row.a.RunID == runID })
	}
	if now.current != 0 && len(in) > 0 && ledger.Unsettles(was.a, in[len(in)-1].row.a, has) {
		return undone, last, ledger.ErrHistory
	}
	if im.Next != nil || now.current == 0 {
		now.rec.Generation = max(now.rec.Generation, im.Generation)
	}
	now.rec.Fence = max(now.rec.Fence, im.Fence)
	below, err := hasBelow(ctx, tx, now)
	if err != nil {
		return undone, last, err
	}
	if below == current {
		now.kin.floor = max(now.kin.floor, im.Series)
	} else {
		now.rec.Series = max(now.rec.Series, im.Series)
	}
	if im.Next == nil {
		if err := now.dropStale(ctx, tx, gone); err != nil {
			return undone, last, err
		}
		return undone, last, writeRecord(ctx, tx, &now)
	}
	rows := make([]incoming, len(in)) // a change may be made again
	copy(rows, in)
	if err := l.keepOutputs(ctx, tx, now, rows); err != nil {
		return undone, last, err
	}
	if now.rowid != 0 {
		now.stale = false
		if err := dropHistory(ctx, tx, gone, now.rowid); err != nil {
			return undone, last, err
		}
	}
	gone.except(rows)
	if err := l.adopt(ctx, tx, &now, ledger.Origin{Parent: im.Parent}, gone); err != nil {
		return undone, last, err
	}
	now.rec.Attempts = 0
	for i := range rows {
		row := &rows[i].row
		now.rec.Attempts = max(now.rec.Attempts, row.a.Number)
		row.record = numberOf(id)
		if err := insertAttempt(ctx, tx, id, row); err != nil {
			return undone, last, err
		}
		if err := insertFiles(ctx, tx, id, *row, rows[i].files); err != nil {
			return undone, last, err
		}
		if err := insertOutput(ctx, tx, *row, rows[i].inline); err != nil {
			return undone, last, err
		}
		last = *row
	}
	now.current, now.kin.done = last.rowid, now.doneBy(last.a)
	return undone, last, writeRecord(ctx, tx, &now)
}

// keepOutputs changes rows without an output into rows with the output that the ledger has of the
// same run.
func (l *Ledger) keepOutputs(ctx context.Context, tx querier, now recordRow, rows []incoming) error {
	if now.current == 0 {
		return nil
	}
	for i := range rows {
		row := &rows[i].row
		if row.storage != storageRemoved {
			continue
		}
		old, err := attemptOf(ctx, tx, now.rec.ID, row.a.RunID)
		switch {
		case errors.Is(err, ledger.ErrNotFound), err == nil && (old.a.State != row.a.State || old.storage != storageInline && old.storage != storageFile):
			continue
		case err != nil:
			return err
		}
		if old.storage == storageInline && old.size > 0 {
			if err := tx.QueryRowContext(ctx, "select frames from outputs where attempt=?", old.rowid).Scan(&rows[i].inline); err != nil {
				return err
			}
		}
		row.storage, row.size, row.sum = old.storage, old.size, old.sum
		row.a.OutputRemoved, row.a.Truncated = old.a.OutputRemoved, old.a.Truncated
	}
	return nil
}

// except removes those that rows still name.
func (s *spools) except(rows []incoming) {
	named := map[string]bool{}
	for _, r := range rows {
		if r.row.storage == storageFile || r.row.storage == storageUnknown {
			named[r.row.a.RunID] = true
		}
	}
	kept := (*s)[:0]
	for _, a := range *s {
		if !named[a.runID] {
			kept = append(kept, a)
		}
	}
	*s = kept
}
