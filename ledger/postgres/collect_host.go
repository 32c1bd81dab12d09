package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/localdir"
	"idem/ledger/postgres/wire"
)

// hostOrphans returns the files of outputs on this host that no attempt and no kept outcome needs. If
// the server has forgotten something, the files cannot be judged.
func (l *Ledger) hostOrphans(ctx context.Context, before time.Time) (orphans []ledger.Orphan, unknown []string, err error) {
	here, err := l.openLocal(ctx, false)
	if here == nil || err != nil {
		return nil, nil, err
	}
	var unjudged []string
	orphans, unknown, err = here.dir.Orphans("output", before, func(old map[string]localdir.Entry) error {
		err := withoutNamed(ctx, l, here, old)
		if errors.Is(err, ledger.ErrFailedOver) || errors.Is(err, ledger.ErrReadOnly) {
			for runID := range old {
				unjudged = append(unjudged, here.dir.File(spoolName(runID)))
			}
			clear(old)
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	unknown = append(unknown, unjudged...)
	slices.Sort(unknown)
	for i := range orphans {
		orphans[i].Host = true
	}
	orphans, err = here.withoutPending(orphans)
	return orphans, unknown, err
}

// removeHostOrphans deletes orphans that are files, unless they are needed by now.
func (l *Ledger) removeHostOrphans(ctx context.Context, orphans []ledger.Orphan) (removed []ledger.Orphan, err error) {
	here, err := l.openLocal(ctx, false)
	if here == nil || err != nil || len(orphans) == 0 {
		return nil, err
	}
	left := map[string]ledger.Orphan{}
	for _, o := range orphans {
		if _, isRun := ledger.RunTime(o.RunID); isRun {
			left[o.RunID] = o
		}
	}
	if err := withoutNamed(ctx, l, here, left); err != nil {
		return nil, err
	}
	if orphans, err = here.withoutPending(orphans); err != nil {
		return nil, err
	}
	for _, o := range orphans {
		if _, ok := left[o.RunID]; ok && here.dir.Remove(spoolName(o.RunID)) == nil {
			removed = append(removed, o)
		}
	}
	return removed, nil
}

// namedSQL returns those of the runs $1 whose output may be in a file of their host alone: the end of
// the attempt is not recorded. No index has the runs, so a query looks at a page: the records after
// $2, in the order of their names, with their earlier attempts. Its last row has the last name, so
// that the next page can follow. An attempt stays below its record, so no page misses one that
// another call moves between the two tables.
func namedSQL() string {
	needs := fmt.Sprintf("x.run_id = any ($1) and (x.state = 'running' or x.storage = %d)", storageUnknown)
	return fmt.Sprintf(`with page as materialized (select id, run_id, state, storage from {s}.record where id > $2 order by id limit %d)
		select x.run_id, null::pg_catalog.bytea from page x where %[2]s
		union all select x.run_id, null from page p join {s}.attempt x on x.id = p.id where %[2]s
		union all (select null, id from page order by id desc limit 1)`, storedRecords, needs)
}

// withoutNamed deletes from a map the runs whose attempts need a file of this host. It returns an
// error for a server that is another one, or that has lost changes: attempts that it has forgotten
// would not be found.
func withoutNamed[T any](ctx context.Context, l *Ledger, here *local, runs map[string]T) error {
	known, err := uuidOf(here)
	if err != nil {
		return err
	}
	sql := namedSQL()
	for after, more := []byte{}, true; more && len(runs) > 0; {
		last := here.lastWitness()
		var m meta
		there, newer := true, false
		more = false
		named := l.stmt(sql, wire.TextArray(slices.Sorted(maps.Keys(runs))), wire.Bytes(after))
		named.Each = func(row *wire.Row) error {
			if row.Null() {
				_, after, more = row.Text(), row.Bytes(), true
			} else {
				delete(runs, row.Text())
			}
			return row.Err()
		}
		stmts := []*wire.Stmt{named, l.metaStmt(&m)}
		if last.fence != 0 {
			stmts = append(stmts, l.witnessStmt(last, &there, &newer))
		}
		if err := l.do(ctx, wire.Read, stmts...); err != nil {
			return err
		}
		if err := m.refusal(known, false); err != nil {
			return err
		}
		if !there && !newer && m.confirmations <= last.confirmations {
			return errForgotten
		}
	}
	return nil
}

// withoutPending leaves out the runs with an outcome that is kept on this host. It is asked last: an
// outcome that is no longer kept has reached the server.
func (s *local) withoutPending(orphans []ledger.Orphan) ([]ledger.Orphan, error) {
	if len(orphans) == 0 {
		return nil, nil
	}
	kept := map[string]bool{}
	err := s.dir.Entries(pendingDir, func(e localdir.Entry) {
		name := strings.TrimPrefix(e.Name, unfinished)
		kept[name[:min(36, len(name))]] = true
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return slices.DeleteFunc(orphans, func(o ledger.Orphan) bool { return kept[o.RunID] }), nil
}
