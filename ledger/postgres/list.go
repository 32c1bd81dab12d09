package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

const (
	// listPage is the number of records that List reads at once. No transaction is open while
	// the caller handles them.
	listPage = 500
	// listFirst is the greatest number of records that List looks for first. Most lists need no
	// more.
	listFirst = 1000
	// listTimeout bounds the statement that looks for all records of a list.
	listTimeout = 5 * time.Minute
)

// List implements ledger.Ledger. One statement finds the names of the matching records, in
// order. Then the records are read page by page. Paging over the order itself would miss a key
// that is run again between two pages.
//
// The names of all records are needed only if the latest ones do not suffice. They take about
// 60 bytes of memory each.
func (l *Ledger) List(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if err := l.list(ctx, f, func(r ledger.Record) bool { return yield(r, nil) }); err != nil {
			yield(ledger.Record{}, l.explain(err))
		}
	}
}

func (l *Ledger) list(ctx context.Context, f ledger.Filter, yield func(ledger.Record) bool) error {
	here, err := l.openLocal(ctx, false)
	if err != nil {
		return err
	}
	s := &lister{ledger: l, here: here, filter: f, yield: yield, processes: sync.OnceValue(filelock.AllLeftovers)}
	if f.OldestFirst {
		names, err := l.every(ctx, f)
		if err != nil {
			return err
		}
		return s.pages(ctx, names)
	}
	first := listFirst
	if f.Limit > 0 {
		first = min(first, f.Limit+50)
	}
	names, err := l.latest(ctx, f, first)
	if err != nil {
		return err
	}
	if err := s.pages(ctx, names); err != nil || s.over || len(names) < first {
		return err
	}
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		seen[string(n)] = true
	}
	if names, err = l.every(ctx, f); err != nil {
		return err
	}
	return s.pages(ctx, slices.DeleteFunc(names, func(n []byte) bool { return seen[string(n)] }))
}

// latest returns the names of the latest records that may match, at most n.
func (l *Ledger) latest(ctx context.Context, f ledger.Filter, n int) (names [][]byte, err error) {
	err = l.do(ctx, wire.Read, l.namesStmt(f, n, &names))
	return names, err
}

// every returns the names of all records that may match. With many records, this takes longer
// than other statements, so it gets its own connection and time.
func (l *Ledger) every(ctx context.Context, f ledger.Filter) (names [][]byte, err error) {
	session := wire.New(l.dial, 0)
	defer session.Close()
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	err = l.retry(ctx, l.opt.ConnectTimeout, func(context.Context) error {
		names = nil
		return session.Do(ctx, wire.Read, l.namesStmt(f, 0, &names))
	})
	return names, err
}

// allNamespaces lists all namespaces by searching the index for the next greater one.
const allNamespaces = `with recursive m (name) as (
	(select r.namespace from {s}.record r order by r.namespace limit 1)
	union all
	select (select r.namespace from {s}.record r where r.namespace > m.name order by r.namespace limit 1) from m where m.name is not null
) `

// namesStmt finds the names of records that may match, the one with the latest attempt first.
// Conditions on the locks of a host, on the records above and on most of a pattern are not
// evaluated. Names come in groups, because a row has a cost. Without a limit, all are found.
func (l *Ledger) namesStmt(f ledger.Filter, limit int, names *[][]byte) *wire.Stmt {
	where := []string{"r.seq > 0"}
	var args []wire.Arg
	and := func(condition string, arg wire.Arg) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "$", "$"+strconv.Itoa(len(args))))
	}
	if f.Namespace != "" {
		and("r.namespace = $", wire.Raw(f.Namespace))
	}
	if f.Key != "" {
		and("r.key = $", wire.Raw(f.Key))
	}
	if prefixes := literalPrefixes(f.Globs); len(prefixes) > 0 {
		and("exists (select from pg_catalog.unnest($) p where pg_catalog.substr(r.key, 1, pg_catalog.length(p)) = p)", wire.BytesArray(prefixes))
	}
	if f.TopLevel {
		where = append(where, "r.parent is null")
	}
	if f.Under != (ledger.ID{}) {
		and("r.parent = $", wire.Bytes(nameOf(f.Under)))
	}
	if states := f.Phases.States(); len(states) > 0 {
		texts := make([]string, len(states))
		for i, s := range states {
			texts[i] = string(s)
		}
		and("r.state = any ($)", wire.TextArray(texts))
	}
	if !f.Since.IsZero() {
		and("r.started >= $", wire.TimeOrNull(f.Since))
	}
	if !f.Until.IsZero() {
		and("r.started <= $", wire.TimeOrNull(f.Until)) // it may be later by less than a microsecond
	}
	byNamespace := limit > 0 && f.Namespace == "" && f.Key == "" && f.Under == (ledger.ID{})
	if byNamespace { // no index has the order of all namespaces
		where = append(where, "r.namespace = m.name")
	}
	query := "select r.id, r.seq from {s}.record r where " + strings.Join(where, " and ") + " order by r.seq desc"
	if limit > 0 {
		query += " limit " + strconv.Itoa(limit)
	}
	if byNamespace {
		query = allNamespaces + "select f.* from m cross join lateral (" + query + ") f order by f.seq desc limit " + strconv.Itoa(limit)
	}
	query = `select pg_catalog.string_agg(o.id, ''::pg_catalog.bytea order by o.seq desc)
		from (select n.*, (pg_catalog.row_number() over (order by n.seq desc) - 1) / 4096 as part from (` + query + `) n) o
		group by o.part order by o.part`
	if f.OldestFirst {
		query = strings.ReplaceAll(query, "seq desc", "seq")
	}
	s := l.stmt(query, args...)
	s.Each = func(row *wire.Row) error {
		*names = slices.AppendSeq(*names, slices.Chunk(row.Bytes(), len(filelock.Name{})))
		return nil
	}
	return s
}

// literalPrefixes returns the literal prefixes of patterns, none if one of them has none.
func literalPrefixes(globs ledger.Globs) [][]byte {
	var prefixes [][]byte
	for _, g := range globs {
		prefix := literalPrefix(g)
		if prefix == "" {
			return nil
		}
		prefixes = append(prefixes, []byte(prefix))
	}
	return prefixes
}

// literalPrefix returns bytes with which every key begins that the pattern matches. It ends
// before the first byte that belongs to no character: a pattern cannot tell such bytes apart.
func literalPrefix(g ledger.Glob) string {
	for i, r := range g {
		if strings.ContainsRune("*?[\uFFFD", r) {
			return string(g[:i])
		}
	}
	return string(g)
}

// lister yields the records of a list.
type lister struct {
	ledger    *Ledger
	here      *local // nil: this host has no locks of the ledger
	filter    ledger.Filter
	yield     func(ledger.Record) bool
	processes func() map[string][]ledger.Process
	n         int  // records that were yielded
	over      bool // no more are wanted
}

// pages yields those records that match.
func (s *lister) pages(ctx context.Context, names [][]byte) error {
	for page := range slices.Chunk(names, listPage) {
		records, err := s.ledger.readListed(ctx, page)
		if err != nil {
			return err
		}
		for _, name := range page {
			if r, ok := records[string(name)]; ok {
				if err := s.one(ctx, r); err != nil || s.over {
					return err
				}
			}
		}
	}
	return nil
}

// one yields a record if it matches. It may have changed since its name was found.
func (s *lister) one(ctx context.Context, r record) error {
	rec := r.rec
	switch rec.Current.State {
	case ledger.Running:
		var err error
		if rec, err = s.ledger.seen(ctx, r, s.processes); err != nil {
			return err
		}
		rec.Current.Inputs = nil
		rec.Alive = rec.Alive && rec.Current.State == ledger.Running
	case ledger.Failed:
		rec.Lease = r.lease.describe(s.here != nil && r.lease.site == s.here.site)
	}
	if !s.filter.Selects(rec) {
		return nil
	}
	s.n++
	s.over = !s.yield(rec) || s.n == s.filter.Limit
	return nil
}

// withoutInputs returns attemptColumns without the inputs, which may be large.
func withoutInputs(prefix string) string {
	return strings.Replace(columnsOf(prefix, attemptColumns), prefix+"inputs", "null::pg_catalog.bytea", 1)
}

// listedColumns are recordColumns without the inputs.
func listedColumns() string {
	return strings.Replace(recordColumns, "r.inputs", "null::pg_catalog.bytea", 1)
}

// readListed reads records by their names, without inputs. Forgotten ones are omitted.
func (l *Ledger) readListed(ctx context.Context, names [][]byte) (map[string]record, error) {
	records := make(map[string]record, len(names))
	above := map[string]ancestor{}
	page := l.stmt("select "+listedColumns()+" from {s}.record r where r.id = any ($1) and r.seq > 0", wire.BytesArray(names))
	page.Each = func(row *wire.Row) error {
		r := scanRecord(row)
		if r.parent != nil && r.rec.Parent == (ledger.ID{}) {
			return fmt.Errorf("%w: the record above key %q cannot be found", ledger.ErrCorrupt, r.rec.ID.Key)
		}
		records[string(nameOf(r.rec.ID))] = r
		return nil
	}
	// A moment later, a series can only be newer. So a record that is current in it was so before.
	parents := l.stmt(`with recursive a as (
		select p.id, p.parent, p.parent_series, p.series from {s}.record p
			where p.id in (select r.parent from {s}.record r where r.id = any ($1) and r.parent is not null)
		union select p.id, p.parent, p.parent_series, p.series from a join {s}.record p on p.id = a.parent)
		select * from a`, wire.BytesArray(names))
	parents.Each = func(row *wire.Row) error {
		name, a := scanAncestor(row)
		above[name] = a
		return nil
	}
	err := l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		clear(records)
		clear(above)
		return l.session.Do(ctx, wire.Read, page, parents)
	})
	if err != nil {
		return nil, err
	}
	for name, r := range records {
		stale, known := r.staleBelow(above)
		if !known { // it was changed between the two statements
			f, err := l.read(ctx, r.rec.ID)
			if err != nil {
				return nil, err
			}
			records[name], stale = f.own, f.own.stale || f.own.seq == 0
		}
		if stale {
			delete(records, name)
		}
	}
	return records, nil
}

// Attempts implements ledger.Ledger.
func (l *Ledger) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	for {
		var all []ledger.Attempt
		var last int64
		var f family
		columns := columnsOf("a.", attemptColumns)
		history := l.stmt("select a.seq, "+columns+" from {s}.attempt a where a.id = $1 union all select a.seq, "+columns+
			" from {s}.record a where a.id = $1 and a.run_id <> '' order by 1", wire.Bytes(nameOf(id)))
		history.Each = func(row *wire.Row) error {
			last = row.Int()
			a, _ := scanAttempt(row)
			all = append(all, a)
			return nil
		}
		if err := l.do(ctx, wire.Read, history, l.familyStmt(id, &f)); err != nil {
			return nil, err
		}
		if err := f.resolve(); err != nil {
			return nil, l.explain(err)
		}
		if f.own.stale {
			return nil, nil
		}
		if f.own.seq == last { // else it was changed between the two statements
			return all, nil
		}
	}
}
