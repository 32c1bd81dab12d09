package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
	"idem/ledger/survey"
)

// A record is stale when it belongs to an earlier series of its parent, or when its parent
// is stale. It is then forgotten: read returns it without its history, as it will be after the
// next Begin, which also deletes the history.
//
// These rules make sure that no generation and no fence returns, even after the row of a
// record was deleted:
//   - A fence and a series are drawn from the sequence, so no value comes twice.
//   - A generation is at most one greater than the number that was drawn last: it grows by
//     one with Forget, which also draws a number. After a new series it is the series plus one.
//   - A change of a record locks the rows of all records above it, from the top, against a
//     new series. So a new series is greater than every number below it.

// doneBy returns the column done of a child whose current attempt is a.
func (r *record) doneBy(a ledger.Attempt) int64 {
	if r.parent == nil {
		return 0
	}
	return doneBy(r.rec.ID, a)
}

// doneBy is that of a record if it is a child. The statement of Finish decides whether it is.
func (c *claim) doneBy(a ledger.Attempt) int64 { return doneBy(c.id, a) }

func doneBy(id ledger.ID, a ledger.Attempt) int64 {
	if a.State != ledger.Succeeded {
		return 0
	}
	return survey.DoneOf(filelock.NameOf(id), a.Fingerprint)
}

// lockAbove is the end of a query that locks the rows with the names $n against a new series,
// from the top. A shorter key is above a longer one.
func lockAbove(n string) string {
	return " from {s}.record where id = any (" + n + ") order by pg_catalog.octet_length(key) for key share"
}

// settleStale makes a locked record one without a history that is no longer stale. The caller
// stores it. Records below it remain forgotten, because it gets a new series.
func (l *Ledger) settleStale(t *wire.Tx, r *record) (err error) {
	r.stale = false
	if r.rec.Series, err = l.number(t); err != nil {
		return err
	}
	return l.dropHistory(t, r)
}

// renew begins a new series of a locked record. The caller stores it. The error is a
// *ledger.BusyError when a record below is alive.
func (l *Ledger) renew(t *wire.Tx, r *record) error {
	is, err := l.hasBelow(t, r)
	if err != nil || is == none && r.rec.Series == 0 {
		return err // without a record below, no record needs a series
	}
	idle := &idleness{ledger: l}
	if err := idle.require(t, nameOf(r.rec.ID), r.rec.Series); err != nil {
		return err
	}
	r.rec.Series, err = l.number(t)
	return err
}

// The results of hasBelow: whether a record has rows below it.
const (
	none    = iota // it has none
	stale          // all are stale
	current        // some are not stale
)

func (l *Ledger) hasBelow(t *wire.Tx, r *record) (int, error) {
	var now, any bool
	s := l.stmt(`select exists (select 1 from {s}.record where parent = $1 and parent_series = $2),
		exists (select 1 from {s}.record where parent = $1)`, wire.Bytes(nameOf(r.rec.ID)), wire.Int(r.rec.Series))
	s.Each = func(row *wire.Row) error { now, any = row.Bool(), row.Bool(); return nil }
	err := t.Do(l.inOrder(), s)
	switch {
	case now && !r.stale:
		return current, err
	case any:
		return stale, err
	}
	return none, err
}

// idleness finds records below another one that are alive.
type idleness struct {
	ledger    *Ledger
	processes map[string][]ledger.Process // of this host, by attempt; nil: not searched yet
}

// idlePage is the number of records that are looked at together. It bounds the memory.
const idlePage = 1000

// idleSQL finds the records below a parent that may be alive. It goes up from all records whose
// state is running, which are few, because a batch can have a million items. A success on the
// way is not looked into: what its command left behind does not count.
func idleSQL() string {
	return `with recursive up as (
		select r.id, r.parent, r.parent_series from {s}.record r where r.state = 'running' and r.parent is not null
		union all
		select up.id, p.parent, p.parent_series from up join {s}.record p on p.id = up.parent
			where p.series = up.parent_series and p.done = 0 and p.parent is not null)
	select ` + recordColumns + ` from (select distinct up.id from up
		where up.parent = $1 and up.parent_series = $2 and up.id > $3 order by up.id limit $4) u join {s}.record r on r.id = u.id`
}

// require returns a *ledger.BusyError if a record below a parent is alive. The parent's row is
// locked, so no record below it can begin in the meantime.
func (i *idleness) require(t *wire.Tx, parent []byte, series int64) error {
	for last, more := []byte{}, true; more; {
		var running []record
		s := i.ledger.stmt(idleSQL(), wire.Bytes(parent), wire.Int(series), wire.Bytes(last), wire.Int(idlePage))
		s.Each = func(row *wire.Row) error {
			running = append(running, scanRecord(row))
			return nil
		}
		if err := t.Do(s); err != nil {
			return err
		}
		for _, r := range running {
			if err := i.requireEnded(r); err != nil {
				return err
			}
			if name := nameOf(r.rec.ID); bytes.Compare(name, last) > 0 {
				last = name
			}
		}
		more = len(running) == idlePage
	}
	return nil
}

// requireEnded returns an error if a record whose state is running is alive. Another host's is
// judged by its lease, and this host's by the locks and processes. The row of a killed idem on
// another host counts until its lease ends.
func (i *idleness) requireEnded(r record) error {
	l := i.ledger
	here, err := l.openLocal(context.Background(), false)
	if err != nil {
		return err
	}
	ours := here != nil && r.lease.site == here.site
	r.rec.Lease = r.lease.describe(ours)
	if here != nil {
		if r.rec.Alive, err = here.alive(r.rec.ID, ledger.Running); err != nil {
			return err
		}
		if !r.rec.Alive {
			if i.processes == nil {
				i.processes = filelock.AllLeftovers()
			}
			r.rec.Alive = len(i.processes[r.rec.Current.RunID]) > 0
		}
	}
	if !ours && !r.rec.Alive {
		if r.lease.kept && r.lease.holder != (wire.UUID{}) && r.lease.left <= 0 {
			return &ledger.KeptError{ID: r.rec.ID, Record: r.rec}
		}
		r.rec.Alive = r.lease.valid()
	}
	if r.rec.Alive {
		return &ledger.BusyError{ID: r.rec.ID, Record: r.rec}
	}
	return nil
}

// adopt makes the locked record f.own a child of o.Parent, if there is one, and locks the parent
// against a new series. It creates a missing row of the parent, and a new series of a stale one.
// The caller stores f.own.
func (l *Ledger) adopt(t *wire.Tx, f *family, o ledger.Origin) error {
	if o.Parent == (ledger.ID{}) {
		return nil
	}
	if err := o.Check(f.own.rec.ID); err != nil {
		return err
	}
	name := nameOf(o.Parent)
	create := l.stmt(`insert into {s}.record (id, namespace, key, win, generation, fence)
		values ($1, $2, $3, $4, 0, 0) on conflict (id) do nothing`,
		wire.Bytes(name), wire.Raw(o.Parent.Namespace), wire.Raw(o.Parent.Key), wire.Raw(o.Parent.Window))
	var p family
	lock := l.stmt("select 1"+lockAbove("$1"), wire.BytesArray(namesOf(o.Parent)))
	stmts := []*wire.Stmt{lock, l.familyStmt(o.Parent, &p)}
	if _, ok := f.above[string(name)]; !ok {
		stmts = append([]*wire.Stmt{create}, stmts...)
	}
	err := t.Do(stmts...)
	if err == nil {
		err = p.resolve()
	}
	if err == nil && p.own.stale {
		err = l.reviveParent(t, o.Parent, &p)
	}
	if err != nil {
		return err
	}
	f.own.parent, f.own.series, f.own.rec.Parent = name, p.own.rec.Series, o.Parent
	return nil
}

// reviveParent makes a stale parent a record without a history. Several children may do so at
// the same time. They have locked its row only against a new series, so they take turns.
func (l *Ledger) reviveParent(t *wire.Tx, id ledger.ID, p *family) error {
	lock := l.stmt("select 1 from {s}.record where id = $1 for no key update", wire.Bytes(nameOf(id)))
	err := t.Do(lock, l.familyStmt(id, p))
	if err == nil {
		err = p.resolve()
	}
	if err != nil || !p.own.stale {
		return err
	}
	if err := l.settleStale(t, &p.own); err != nil {
		return err
	}
	return l.storeUnheld(t, &p.own)
}

// forget drops the history of a locked record and begins a new series. The caller stores it.
func (l *Ledger) forget(t *wire.Tx, r *record) error {
	if r.stale {
		return l.settleStale(t, r)
	}
	if err := l.renew(t, r); err != nil {
		return err
	}
	fence, err := l.number(t) // see the top of this file
	if err != nil {
		return err
	}
	r.rec.Fence = fence
	r.rec.Generation++
	return l.dropHistory(t, r)
}

// dropHistory deletes attempts, outputs and files of a locked record. It adds the attempts that
// may have a file on this host to r.spools. The places of mutexes that the record's holder has
// remain.
func (l *Ledger) dropHistory(t *wire.Tx, r *record) error {
	s := l.stmt(`with a as (delete from {s}.attempt where id = $1 returning run_id, storage),
		o as (delete from {s}.output where id = $1), f as (delete from {s}.file where id = $1), e as (delete from {s}.late where id = $1),
		m as (delete from {s}.mutex m where m.id = $1 and not exists (select 1 from {s}.record r where r.id = $1 and r.holder = m.holder))
		select run_id from a where storage = `+fmt.Sprint(storageUnknown)+`
		union all select run_id from {s}.record where id = $1 and run_id <> '' and storage = `+fmt.Sprint(storageUnknown), wire.Bytes(nameOf(r.rec.ID)))
	s.Each = func(row *wire.Row) error {
		r.spools = append(r.spools, row.Text())
		return nil
	}
	r.rec.Attempts, r.rec.Current, r.out, r.inline, r.seq, r.done = 0, ledger.Attempt{}, output{}, nil, 0, 0
	return t.Do(s)
}

// removeSpools removes the files of attempts that were forgotten, after the commit.
func (l *Ledger) removeSpools(runIDs []string) {
	here, err := l.openLocal(context.Background(), false)
	if here == nil || err != nil {
		return
	}
	for _, runID := range slices.Compact(runIDs) {
		here.removeSpool(runID)
	}
}

// Adopt implements ledger.Claim.
func (c *claim) Adopt(ctx context.Context, o ledger.Origin) error {
	if err := errors.Join(c.checkHeld(), ctx.Err()); err != nil {
		return err
	}
	l := c.ledger
	since := sinceBoot()
	stored := false
	err := l.tx(context.WithoutCancel(ctx), wire.Durable, func(t *wire.Tx) error {
		since, stored = sinceBoot(), false
		f, err := c.lockOwn(t)
		if err != nil || f.own.seq == 0 || f.own.parent != nil {
			return err
		}
		if err := l.adopt(t, &f, o); err != nil {
			return err
		}
		f.own.done = f.own.doneBy(f.own.rec.Current)
		stored = true
		return l.store(t, &f.own)
	})
	if err == nil && stored {
		l.leases.renewed(c.held, since)
	}
	c.changed()
	return err
}
