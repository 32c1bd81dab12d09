package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
)

const (
	// listPage is the number of records that List reads at once. It bounds the time for which
	// a read transaction is open. No transaction is open while the caller handles a result.
	// A longer transaction would pin the write-ahead log.
	listPage = 500
	// listFirst is the greatest number of records that List looks for first. Most lists need
	// no more. In a longer one, they are shown before the remaining ones are found.
	listFirst = 1000
	// listCache gives the connection a cache of 8 MiB. Records are in the order of hashes, so a
	// long list reads their pages again and again.
	listCache = "pragma cache_size=-8192"
)

// List implements ledger.Ledger. One query reads the rowids of all matching records, in
// order. Then the records are read page by page. Paging over the order itself would miss
// a key that is run again between two pages.
func (l *Ledger) List(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if err := l.list(ctx, f, func(r ledger.Record) bool { return yield(r, nil) }); err != nil {
			yield(ledger.Record{}, l.explain(err))
		}
	}
}

func (l *Ledger) list(ctx context.Context, f ledger.Filter, yield func(ledger.Record) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	limits := []int{listFirst, 0}
	switch {
	case f.Key != "" || f.Under != (ledger.ID{}) || f.OldestFirst: // the query sorts all of them, or each one is asked for
		limits = limits[1:]
	case f.Limit > 0:
		limits = []int{min(listFirst, f.Limit+50), f.Limit + listFirst, 0} // some may not match
	}
	s := &lister{ledger: l, db: db, filter: f, yield: yield, processes: sync.OnceValue(filelock.AllLeftovers), above: lineage{}, seen: map[int64]bool{}}
	var newest int64 // attempt
	if err := db.QueryRowContext(ctx, "select coalesce(max(id), 0) from attempts").Scan(&newest); err != nil {
		return err
	}
	for i, limit := range limits {
		if i > 0 {
			if _, err := db.ExecContext(ctx, listCache); err != nil {
				return err
			}
		}
		matches, err := matching(ctx, db, f, newest, limit)
		if err != nil {
			return err
		}
		last := len(matches) < limit || limit == 0
		unseen := slices.DeleteFunc(matches, func(m match) bool { return s.seen[m.rowid] })
		if err := s.pages(ctx, unseen); err != nil || s.over || last {
			return err
		}
		for _, m := range unseen {
			s.seen[m.rowid] = true
		}
	}
	return nil
}

// lister yields the records of a list.
type lister struct {
	ledger    *Ledger
	db        *database
	filter    ledger.Filter
	yield     func(ledger.Record) bool
	processes func() map[string][]ledger.Process
	above     lineage
	seen      map[int64]bool // the rowids of the records that were read, if more are to be
	n         int            // records that were yielded
	over      bool           // no more are wanted
}

// pages yields those records that match. One may have changed since its rowid was read.
func (s *lister) pages(ctx context.Context, matches []match) error {
	rowids := make([]int64, 0, listPage)
	for page := range slices.Chunk(matches, listPage) {
		rowids = rowids[:0]
		for _, m := range page {
			rowids = append(rowids, m.rowid)
		}
		records, err := readRecords(ctx, s.db, rowids, s.above)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if rec.Current.State == ledger.Running {
				if rec, err = s.ledger.get(ctx, s.db, rec.ID, s.processes); err != nil {
					return err
				}
				rec.Current.Inputs = nil
			}
			if !s.filter.Selects(rec) { // or its only attempt was never started
				continue
			}
			s.n++
			if s.over = !s.yield(rec) || s.n == s.filter.Limit; s.over {
				return nil
			}
		}
	}
	return nil
}

// allNamespaces lists all namespaces by searching the index for the next greater one. With
// it, a key can be found in all namespaces without reading every record.
const allNamespaces = `with recursive namespaces(name) as (
	select min(namespace) from records
	union all
	select (select min(namespace) from records where namespace > name) from namespaces where name is not null
) `

// maxGlobs is the number of patterns that a query evaluates. With more, it evaluates none.
const maxGlobs = 50

// match has the rowid of a record and that of its latest attempt. A list of all keys has one of
// each key in memory, so it has no more.
type match struct{ rowid, current int64 }

// matching returns the records that may match f, the one with the latest attempt first. Records
// without an attempt until newest do not count: they were created after the list began. It returns
// at most limit of them, and all with a limit of 0. Conditions on the locks are not evaluated. An
// attempt with a list may never have been started; then the one before counts, which can have any
// state and start.
func matching(ctx context.Context, db *database, f ledger.Filter, newest int64, limit int) (all []match, err error) {
	where := []string{"(r.current <= ? or exists (select 1 from attempts b where b.record = r.id and b.id <= ?))"}
	args := []any{newest, newest}
	and := func(condition string, arg ...any) { where, args = append(where, condition), append(args, arg...) }
	if f.Namespace != "" {
		and("r.namespace = ?", []byte(f.Namespace))
	}
	// The query walks over the attempts from the latest on. With a key, there are few
	// records, and it walks over these.
	with, from := "", "attempts a cross join records r on r.id = a.record and r.current = a.id"
	if f.Key != "" {
		and("r.key = ?", []byte(f.Key))
		from = "records r cross join attempts a on a.id = r.current"
		if f.Namespace == "" {
			with, from = allNamespaces, "namespaces cross join "+from+" and r.namespace = namespaces.name"
		}
	}
	if len(f.Globs) > 0 && len(f.Globs) <= maxGlobs {
		var globs []any
		for _, g := range f.Globs {
			globs = append(globs, string(g))
		}
		and("("+alternatives("cast(r.key as text) glob ?", len(globs))+")", globs...)
	}
	if f.TopLevel {
		and("r.parent = 0")
	}
	if f.Under != (ledger.ID{}) {
		and("r.parent <> 0 and r.parent = ?", numberOf(f.Under))
		from = "records r cross join attempts a on a.id = r.current"
		if !f.Phases.Has(ledger.PhaseSucceeded) {
			and("r.done = 0")
		}
	}
	const orUnstarted = " or a.state = 'running' and length(a.note) > 0)"
	if states := f.Phases.States(); len(states) > 0 {
		var of []any
		for _, s := range states {
			of = append(of, string(s))
		}
		and("("+alternatives("a.state = ?", len(of))+orUnstarted, of...)
	}
	if !f.Since.IsZero() {
		and("(a.started >= ?"+orUnstarted, micros(f.Since))
	}
	if !f.Until.IsZero() {
		and("(a.started <= ?"+orUnstarted, micros(f.Until)) // it may be later by less than a microsecond
	}
	order := " order by a.id desc"
	if f.OldestFirst {
		order = " order by a.id"
	}
	// Without a limit and without a condition about attempts, records alone are enough. They are
	// read in the order of their table and sorted here. The way over the attempts would look for
	// each record at a random place.
	alone := limit == 0 && with == "" && len(f.Phases) == 0 && f.Since.IsZero() && f.Until.IsZero()
	if alone {
		from, order = "records r", ""
	}
	query := with + "select r.id, r.current from " + from + " where r.current <> 0 and " + strings.Join(where, " and ") + order
	if limit > 0 {
		query, args = query+" limit ?", append(args, limit)
	}
	if alone { // else append has twice as much memory in the end
		var n int
		if err := db.QueryRowContext(ctx, "select count(*) from records").Scan(&n); err != nil {
			return nil, err
		}
		all = make([]match, 0, n)
	}
	err = db.bulk(ctx, func(r *bulkRow) error {
		var m match
		err := r.Scan(&m.rowid, &m.current)
		all = append(all, m)
		return err
	}, query, args...)
	if alone {
		slices.SortFunc(all, func(a, b match) int { return cmp.Compare(b.current, a.current) })
		if f.OldestFirst {
			slices.Reverse(all)
		}
	}
	return all, err
}

// alternatives joins n times a condition with "or".
func alternatives(condition string, n int) string {
	return strings.Repeat(condition+" or ", n-1) + condition
}

// readRecords reads records in the given order. Inputs and Alive are not set. A record that
// was forgotten is omitted. The query has no "order by", for which SQLite would copy all columns
// into a sorter: a cross join reads in the order of its first table.
func readRecords(ctx context.Context, q *database, rowids []int64, above lineage) ([]ledger.Record, error) {
	ids, err := json.Marshal(rowids)
	if err != nil {
		return nil, err
	}
	found := make([]recordRow, 0, len(rowids))
	row := newRowScan()
	if err := q.bulk(ctx, func(r *bulkRow) error {
		if err := row.scan(r); err != nil {
			return err
		}
		row.r.rec.Current = row.a.a
		found = append(found, row.r)
		return nil
	}, "select "+recordColumns+", "+attemptColumns+`
		from json_each(?) ids cross join records r on r.id = ids.value cross join attempts a on a.id = r.current`, string(ids)); err != nil {
		return nil, err
	}
	records := make([]ledger.Record, 0, len(found))
	for _, r := range found {
		stale, err := above.stale(ctx, q, r)
		if err != nil {
			return nil, err
		}
		if !stale {
			records = append(records, r.rec)
		}
	}
	return records, nil
}
