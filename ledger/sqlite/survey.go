package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/survey"
)

// surveyPage is the number of records that Successes reads at once, as listPage is for List.
const surveyPage = 20000

// Successes implements ledger.Surveying. It reads the index alone, in its order.
func (l *Ledger) Successes(ctx context.Context, parent ledger.ID) (ledger.Successes, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return survey.New(0), l.explain(err)
	}
	s, err := readSuccesses(ctx, db, parent)
	return s, l.explain(err)
}

func readSuccesses(ctx context.Context, q querier, parent ledger.ID) (*survey.Table, error) {
	p, _, err := readBoth(ctx, q, parent)
	if err != nil || p.rowid == 0 || p.stale {
		return survey.New(0), err
	}
	var n int
	if err := q.QueryRowContext(ctx, "select count(*) from records where parent=? and parent<>0 and parent_series=? and done<>0",
		p.rowid, p.rec.Series).Scan(&n); err != nil {
		return nil, err
	}
	s := survey.New(n)
	for from := (successRow{done: -1 << 63}); ; {
		page, err := successPage(ctx, q, p, from)
		if err != nil || len(page) == 0 {
			return s, err
		}
		for _, r := range page {
			if !s.Add(r.rowid, r.done) {
				return s, nil // the batch has grown since; Get finds the rest
			}
		}
		from = page[len(page)-1]
	}
}

type successRow struct{ done, rowid int64 }

func successPage(ctx context.Context, q querier, p recordRow, from successRow) ([]successRow, error) {
	rows, err := q.QueryContext(ctx, `select done, id from records where parent=? and parent<>0 and parent_series=?
		and done<>0 and (done, id) > (?, ?) order by done, id limit ?`, p.rowid, p.rec.Series, from.done, from.rowid, surveyPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]successRow, 0, surveyPage)
	for rows.Next() {
		var r successRow
		if err := rows.Scan(&r.done, &r.rowid); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// Tallies implements ledger.Surveying. Successes are counted in the index.
func (l *Ledger) Tallies(ctx context.Context, parents ...ledger.ID) (map[ledger.ID]ledger.Tally, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, l.explain(err)
	}
	all, err := l.tallies(ctx, db, parents)
	return all, l.explain(err)
}

func (l *Ledger) tallies(ctx context.Context, db *database, parents []ledger.ID) (map[ledger.ID]ledger.Tally, error) {
	if len(parents) == 0 {
		var err error
		if parents, err = allParents(ctx, db); err != nil {
			return nil, err
		}
	}
	all := map[ledger.ID]ledger.Tally{}
	processes := sync.OnceValue(filelock.AllLeftovers)
	for _, id := range parents {
		p, _, err := readBoth(ctx, db, id)
		if err != nil {
			return nil, err
		}
		if p.rowid == 0 || p.stale || p.kin.floor == 0 {
			continue
		}
		tally, err := l.tally(ctx, db, p, processes)
		if err != nil {
			return nil, err
		}
		if len(tally) > 0 {
			all[id] = tally
		}
	}
	return all, nil
}

// allParents returns the IDs of all records that have rows below them.
func allParents(ctx context.Context, q querier) ([]ledger.ID, error) {
	var all []ledger.ID
	var families bool
	err := q.QueryRowContext(ctx, "select exists (select 1 from sqlite_schema where name = 'records_parent')").Scan(&families)
	if err != nil || !families { // without the index, the query below would read all records
		return nil, err
	}
	for last := int64(0); ; {
		var next sql.NullInt64
		if err := q.QueryRowContext(ctx, "select min(parent) from records where parent > ? and parent <> 0", last).Scan(&next); err != nil || !next.Valid {
			return all, err
		}
		last = next.Int64
		p, err := readRow(ctx, q, last)
		if errors.Is(err, sql.ErrNoRows) { // deleted in the meantime
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p.rec.ID)
	}
}

func (l *Ledger) tally(ctx context.Context, db *database, p recordRow, processes func() map[string][]ledger.Process) (ledger.Tally, error) {
	t := ledger.Tally{}
	var done int
	if err := db.QueryRowContext(ctx, "select count(*) from records where parent=? and parent<>0 and parent_series=? and done<>0",
		p.rowid, p.rec.Series).Scan(&done); err != nil {
		return nil, err
	}
	if done > 0 {
		t[ledger.PhaseSucceeded] = done
	}
	var running []ledger.ID
	for from, more := int64(-1), true; more; {
		rest, err := restPage(ctx, db, p, from)
		if err != nil {
			return nil, err
		}
		more = len(rest) == surveyPage
		for _, r := range rest {
			from = r.rowid
			switch {
			case r.current == 0:
			case r.state == ledger.Running:
				running = append(running, r.id)
			default:
				rec := ledger.Record{Current: ledger.Attempt{State: r.state, RunID: "-"}}
				t[rec.Phase()]++
			}
		}
	}
	for _, id := range running {
		rec, err := l.get(ctx, db, id, processes)
		if err != nil {
			return nil, err
		}
		if phase := rec.Phase(); phase != ledger.PhaseNone {
			t[phase]++
		}
	}
	return t, nil
}

type restRow struct {
	rowid, current int64
	state          ledger.State
	id             ledger.ID // of a running one
}

// restPage reads children that have not succeeded.
func restPage(ctx context.Context, q querier, p recordRow, from int64) ([]restRow, error) {
	rows, err := q.QueryContext(ctx, `select r.id, r.current, coalesce(a.state, ''), case a.state when 'running' then r.key end
		from records r left join attempts a on a.id = r.current
		where r.parent=? and r.parent<>0 and r.parent_series=? and r.done=0 and r.id>? order by r.id limit ?`,
		p.rowid, p.rec.Series, from, surveyPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []restRow
	for rows.Next() {
		r := restRow{id: p.rec.ID}
		var key []byte
		if err := rows.Scan(&r.rowid, &r.current, &r.state, &key); err != nil {
			return nil, err
		}
		r.id.Key = string(key)
		page = append(page, r)
	}
	return page, rows.Err()
}
