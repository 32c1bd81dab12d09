package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"idem/ledger"
	"idem/ledger/localdir"
)

// Orphans implements ledger.Collecting. A spool is written after the commit of its attempt, but before
// the commit of a mark. So an old file that no process has open and that no row names belongs to a
// process that was killed.
func (l *Ledger) Orphans(ctx context.Context, before time.Time) (orphans []ledger.Orphan, unknown []string, err error) {
	orphans, unknown, err = l.orphans(ctx, before)
	return orphans, unknown, l.explain(err)
}

func (l *Ledger) orphans(ctx context.Context, before time.Time) (orphans []ledger.Orphan, unknown []string, err error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, nil, err
	}
	return l.dir.Orphans("output", before, func(old map[string]localdir.Entry) error { return withoutNamed(ctx, db, old) })
}

// withoutNamed deletes from a map the runs whose output may be in a file.
func withoutNamed[T any](ctx context.Context, q querier, runs map[string]T) error {
	if len(runs) == 0 {
		return nil
	}
	return each(ctx, q, func(rows *sql.Rows) error {
		var runID sql.RawBytes
		err := rows.Scan(&runID)
		delete(runs, string(runID))
		return err
	}, fmt.Sprintf("select run_id from attempts where output_place in (%d, %d)", storageUnknown, storageFile))
}

// RemoveOrphans implements ledger.Collecting.
func (l *Ledger) RemoveOrphans(ctx context.Context, orphans []ledger.Orphan) (removed []ledger.Orphan, err error) {
	if len(orphans) == 0 {
		return nil, nil
	}
	// In a ledger that has lost commits, the outputs of the lost attempts look like orphans.
	if err := l.write(ctx, func(querier) error { return nil }); err != nil {
		return nil, l.explain(err)
	}
	db, err := l.database(ctx)
	if err != nil {
		return nil, l.explain(err)
	}
	left := map[string]ledger.Orphan{}
	for _, o := range orphans {
		if _, isRun := ledger.RunTime(o.RunID); isRun {
			left[o.RunID] = o
		}
	}
	if err := withoutNamed(ctx, db, left); err != nil {
		return nil, l.explain(err)
	}
	for _, o := range orphans {
		if _, ok := left[o.RunID]; ok && l.dir.Remove(spoolName(o.RunID)) == nil {
			removed = append(removed, o)
		}
	}
	return removed, nil
}
