package postgres

import (
	"context"
	"time"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// isOrphan is the condition for a piece o of an output that no attempt has. The pieces of a mark are
// sent before it is recorded, while its call holds the claim.
const isOrphan = `not exists (select from {s}.attempt a where a.id = o.id and a.run_id = o.run_id)
	and not exists (select from {s}.record r where r.id = o.id
		and (r.run_id = o.run_id or r.holder is not null and (not r.takeover or r.lease_until > pg_catalog.clock_timestamp())))`

// Orphans implements ledger.Collecting. Orphans are pieces in the database, and files of this host. The
// age of a run is in its ID.
func (l *Ledger) Orphans(ctx context.Context, before time.Time) (orphans []ledger.Orphan, unknown []string, err error) {
	s := l.stmt("select o.run_id, pg_catalog.sum(pg_catalog.octet_length(o.frames))::pg_catalog.int8 from {s}.output o where " + isOrphan + " group by o.run_id order by o.run_id")
	s.Each = func(row *wire.Row) error {
		o := ledger.Orphan{RunID: row.Text(), Bytes: row.Int()}
		if began, isRun := ledger.RunTime(o.RunID); isRun && began.Before(before) {
			orphans = append(orphans, o)
		}
		return row.Err()
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return nil, nil, l.explain(err)
	}
	files, unknown, err := l.hostOrphans(ctx, before)
	return append(orphans, files...), unknown, l.explain(err)
}

// RemoveOrphans implements ledger.Collecting.
func (l *Ledger) RemoveOrphans(ctx context.Context, orphans []ledger.Orphan) (removed []ledger.Orphan, err error) {
	var pieces, files []ledger.Orphan
	for _, o := range orphans {
		if o.Host {
			files = append(files, o)
		} else {
			pieces = append(pieces, o)
		}
	}
	if removed, err = l.removePieces(ctx, pieces); err != nil {
		return removed, err
	}
	gone, err := l.removeHostOrphans(ctx, files)
	return append(removed, gone...), l.explain(err)
}

func (l *Ledger) removePieces(ctx context.Context, orphans []ledger.Orphan) (removed []ledger.Orphan, err error) {
	for len(orphans) > 0 {
		some := orphans[:ledger.FirstFew(orphans, removedBytes, func(o *ledger.Orphan) int64 { return o.Bytes })]
		orphans = orphans[len(some):]
		var runs []string
		for _, o := range some {
			runs = append(runs, o.RunID)
		}
		gone := map[string]bool{}
		s := l.stmt("delete from {s}.output o where o.run_id = any ($1) and "+isOrphan+" returning o.run_id", wire.TextArray(runs))
		s.Each = func(row *wire.Row) error { gone[row.Text()] = true; return row.Err() }
		if err := l.do(ctx, wire.Durable, s); err != nil {
			return removed, l.explain(err)
		}
		for _, o := range some {
			if gone[o.RunID] {
				removed = append(removed, o)
			}
		}
	}
	return removed, nil
}
