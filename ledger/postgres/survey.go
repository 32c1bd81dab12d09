package postgres

import (
	"context"
	"math"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
	"idem/ledger/survey"
)

// surveyPage is the number of records that are read at once. It bounds the memory.
const surveyPage = 20000

// inOrder is sent before queries of pages of children, in the same transaction. They then follow
// the index over the children. A server without statistics of a batch that has just been made
// would read and sort all children for each page.
func (l *Ledger) inOrder() *wire.Stmt {
	return l.stmt(`select pg_catalog.set_config('enable_sort', 'off', true), pg_catalog.set_config('enable_bitmapscan', 'off', true),
		pg_catalog.set_config('enable_seqscan', 'off', true)`)
}

// readInOrder sends a query of a page of children.
func (l *Ledger) readInOrder(ctx context.Context, page *wire.Stmt) error {
	return l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		return l.session.Alone(ctx, wire.Read, l.inOrder(), page)
	})
}

// Successes implements ledger.Surveying. It reads the index over the children, in its order.
func (l *Ledger) Successes(ctx context.Context, parent ledger.ID) (ledger.Successes, error) {
	f, err := l.read(ctx, parent)
	if err != nil {
		return nil, err
	}
	if !f.own.stored || f.own.stale {
		return survey.New(0), nil
	}
	type success struct{ number, done int64 }
	var pages [][]success // a count would read all of them too
	n := 0
	name, series := nameOf(parent), f.own.rec.Series
	for last, id, more := int64(math.MinInt64), []byte{}, true; more; {
		var found []success
		page := l.stmt(`select done, id from {s}.record where parent = $1 and parent_series = $2 and done <> 0 and (done, id) > ($3, $4)
			order by done, id limit $5`, wire.Bytes(name), wire.Int(series), wire.Int(last), wire.Bytes(id), wire.Int(surveyPage))
		page.Each = func(row *wire.Row) error {
			last, id = row.Int(), row.Bytes()
			found = append(found, success{survey.NumberOf(id), last})
			return nil
		}
		if err := l.readInOrder(ctx, page); err != nil {
			return nil, err
		}
		more = len(found) == surveyPage
		pages = append(pages, found)
		n += len(found)
	}
	t := survey.New(n)
	for _, page := range pages {
		for _, s := range page {
			t.Add(s.number, s.done)
		}
	}
	return t, nil
}

// Tallies implements ledger.Surveying. Successes are counted in the index.
func (l *Ledger) Tallies(ctx context.Context, parents ...ledger.ID) (map[ledger.ID]ledger.Tally, error) {
	t := &tallies{ledger: l, all: map[ledger.ID]ledger.Tally{}, stale: map[ledger.ID]bool{}, of: "parent is not null"}
	if len(parents) > 0 {
		names := make([][]byte, len(parents))
		for i, id := range parents {
			names[i] = nameOf(id)
		}
		t.of, t.args = "parent = any ($1)", []wire.Arg{wire.BytesArray(names)}
	}
	err := t.count(ctx)
	if err == nil {
		err = t.running(ctx)
	}
	if err != nil || len(t.all) == 0 {
		return nil, err
	}
	return t.all, nil
}

// tallies collects the result of Tallies.
type tallies struct {
	ledger *Ledger
	of     string // a condition for the parent of a record, and its parameters
	args   []wire.Arg
	all    map[ledger.ID]ledger.Tally
	stale  map[ledger.ID]bool // of parents that are children
}

// count counts the records that are not running.
func (t *tallies) count(ctx context.Context) error {
	type group struct {
		parent ledger.ID
		child  bool
		state  ledger.State
		n      int
	}
	var groups []group
	each := func(row *wire.Row) error {
		groups = append(groups, group{ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()}, row.Bool(), ledger.State(row.Text()), int(row.Int())})
		return nil
	}
	const head = "select p.namespace, p.key, p.win, p.parent is not null, c.state, c.n from (select parent, parent_series, "
	const tail = ") c join {s}.record p on p.id = c.parent and p.series = c.parent_series"
	done := t.ledger.stmt(head+"'succeeded' as state, pg_catalog.count(*) as n from {s}.record where "+t.of+
		" and done <> 0 group by parent, parent_series"+tail, t.args...)
	rest := t.ledger.stmt(head+"state, pg_catalog.count(*) as n from {s}.record where "+t.of+
		" and done = 0 and seq <> 0 and state <> 'running' group by parent, parent_series, state"+tail, t.args...)
	done.Each, rest.Each = each, each
	if err := t.ledger.do(ctx, wire.Read, done, rest); err != nil {
		return err
	}
	for _, g := range groups {
		rec := ledger.Record{Current: ledger.Attempt{State: g.state, RunID: "-"}}
		if err := t.add(ctx, g.parent, g.child, rec.Phase(), g.n); err != nil {
			return err
		}
	}
	return nil
}

// running looks at each record that is recorded as running.
func (t *tallies) running(ctx context.Context) error {
	type row struct {
		record
		child bool // of the parent: it is a child itself
	}
	processes := sync.OnceValue(filelock.AllLeftovers)
	arg := func(n int) string { return "$" + string(rune('0'+len(t.args)+n)) }
	for last, more := []byte{}, true; more; {
		var rows []row
		page := t.ledger.stmt("select "+recordColumns+`, p.parent is not null from {s}.record r join {s}.record p on p.id = r.parent and p.series = r.parent_series
			where r.`+t.of+" and r.done = 0 and r.state = 'running' and r.id > "+arg(1)+" order by r.id limit "+arg(2),
			append(append([]wire.Arg{}, t.args...), wire.Bytes(last), wire.Int(idlePage))...)
		page.Each = func(r *wire.Row) error {
			rows = append(rows, row{scanRecord(r), r.Bool()})
			return nil
		}
		if err := t.ledger.do(ctx, wire.Read, page); err != nil {
			return err
		}
		more = len(rows) == idlePage
		for _, r := range rows {
			last = nameOf(r.rec.ID)
			rec, err := t.ledger.seen(ctx, r.record, processes)
			if err == nil && rec.Phase() != ledger.PhaseNone {
				err = t.add(ctx, r.rec.Parent, r.child, rec.Phase(), 1)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds records of the present series of a parent. child says that the parent may be stale.
func (t *tallies) add(ctx context.Context, parent ledger.ID, child bool, phase ledger.Phase, n int) error {
	if child {
		stale, known := t.stale[parent]
		if !known {
			f, err := t.ledger.read(ctx, parent)
			if err != nil {
				return err
			}
			stale = f.own.stale
			t.stale[parent] = stale
		}
		if stale {
			return nil
		}
	}
	if t.all[parent] == nil {
		t.all[parent] = ledger.Tally{}
	}
	t.all[parent][phase] += n
	return nil
}
