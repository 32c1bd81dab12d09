package postgres

import (
	"context"
	"strconv"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// Changes of several records lock the rows first, and then compute the new rows in this
// program. Rows are locked from the parent to the child, so that two changes cannot wait for
// each other. The rows above a record are locked against a new series only.

// lockOwn locks the row of the claim's record and those above, and reads them. The error is
// ledger.ErrChanged if the claim no longer has the record. The statements first come before the lock
// of the own row.
func (c *claim) lockOwn(t *wire.Tx, first ...*wire.Stmt) (family, error) {
	var f family
	lock := c.ledger.stmt("select 1 from {s}.record where id = $1 and holder = $2 for update", wire.Bytes(c.name[:]), wire.ID(c.held.holder))
	stmts := append(first, lock, c.ledger.familyStmt(c.id, &f))
	if above := namesOf(c.id)[1:]; len(above) > 0 {
		stmts = append([]*wire.Stmt{c.ledger.stmt("select 1"+lockAbove("$1"), wire.BytesArray(above))}, stmts...)
	}
	if err := t.Do(stmts...); err != nil {
		return f, err
	}
	if lock.Rows == 0 {
		return f, ledger.ErrChanged
	}
	return f, f.resolve()
}

// beginMany is begin for an attempt that changes more than its own row. was is the attempt before,
// as it was read under the claim.
func (c *claim) beginMany(ctx context.Context, e *execution, s ledger.Start, was ledger.Attempt) error {
	l := c.ledger
	var storage int
	var spools []string
	since := sinceBoot()
	mutexes := c.prepareMutexes(s)
	err := l.tx(ctx, wire.Durable, func(t *wire.Tx) error {
		since = sinceBoot()
		if err := mutexes.lock(t); err != nil {
			return err
		}
		f, err := c.lockOwn(t)
		if err != nil {
			return err
		}
		if f.own.rec.Current.RunID == s.RunID { // an earlier try was committed, and its answer was lost
			return c.readCommitted(e, f)
		}
		// An attempt before may have got its outcome, see done.go. Another running one is that of a
		// Begin of this claim whose answer was lost.
		if now := f.own.rec.Current; now.RunID != "" && now.State != ledger.Running && (now.RunID != was.RunID || now.State != was.State) {
			return ledger.ErrChanged
		}
		if err := mutexes.take(t); err != nil {
			return err
		}
		r := &f.own
		if s.Fresh {
			if err := l.forget(t, r); err != nil {
				return err
			}
		} else if err := l.settle(t, r); err != nil {
			return err
		}
		if s.Renew {
			if err := l.renew(t, r); err != nil {
				return err
			}
		}
		if err := l.adopt(t, &f, s.Origin); err != nil {
			return err
		}
		storage = storageUnknown
		if s.MaxOutput == 0 {
			storage = storageRefused
		}
		r.rec.Attempts++
		e.begun(s, storage)
		e.attempt.Number = r.rec.Attempts
		r.rec.Current, r.out, r.inline, r.done = e.attempt, output{storage: storage}, nil, 0
		if err := l.advance(t, r, true); err != nil {
			return err
		}
		e.fence, e.generation, e.attempt, spools = r.rec.Fence, r.rec.Generation, r.rec.Current, r.spools
		return nil
	})
	if err == nil {
		l.removeSpools(spools)
		l.leases.renewed(c.held, since)
	}
	c.keepMutexes(s, err)
	return l.explain(err)
}

func (c *claim) readCommitted(e *execution, f family) error {
	e.fence, e.generation, e.attempt = f.own.rec.Fence, f.own.rec.Generation, f.own.rec.Current
	return nil
}

// settle prepares a record for the next attempt or mark: it drops the history of a stale
// record, or moves the current attempt to the table attempt. A running one was lost.
func (l *Ledger) settle(t *wire.Tx, r *record) error {
	if r.stale {
		return l.settleStale(t, r)
	}
	if r.rec.Current.RunID == "" {
		return nil
	}
	return t.Do(l.stmt(archiveSQL(), wire.Bytes(nameOf(r.rec.ID))))
}

func archiveSQL() string {
	return `insert into {s}.attempt (id, seq, inline, ` + columnsOf("", attemptColumns) + `)
		select o.id, o.seq, o.inline, ` + lostColumns("o.") + ` from {s}.record o where o.id = $1 and o.run_id <> ''`
}

// advance stores r with its new current attempt, which becomes the latest in the order of
// records. With begin, the attempt gets a new fence and its start.
func (l *Ledger) advance(t *wire.Tx, r *record, begin bool) error {
	var next int64
	draw := l.stmt("select pg_catalog.nextval({number}::pg_catalog.regclass), pg_catalog.clock_timestamp()")
	draw.Each = func(row *wire.Row) error {
		next = row.Int()
		now := row.Time()
		if r.rec.Current.Started.IsZero() {
			r.rec.Current.Started = now
		}
		if !begin {
			r.rec.Current.Ended = r.rec.Current.Started
		}
		return nil
	}
	if err := t.Do(draw); err != nil {
		return err
	}
	r.seq = next
	if begin {
		r.rec.Fence = next
	}
	return l.store(t, r)
}

// number draws a number that was never used.
func (l *Ledger) number(t *wire.Tx) (n int64, err error) {
	draw := l.stmt("select pg_catalog.nextval({number}::pg_catalog.regclass)")
	draw.Each = func(row *wire.Row) error { n = row.Int(); return nil }
	err = t.Do(draw)
	return n, err
}

// store writes all columns of the claim's own row, which is locked. It renews the lease.
func (l *Ledger) store(t *wire.Tx, r *record) error {
	return l.storeWith(t, r, `, renewed = case when holder is null then renewed else pg_catalog.clock_timestamp() end,
		lease_until = case when holder is null then lease_until else pg_catalog.clock_timestamp() + lease * '1 microsecond'::pg_catalog.interval end`)
}

// storeUnheld writes all columns of a locked row but those of the claim, which is not the
// caller's.
func (l *Ledger) storeUnheld(t *wire.Tx, r *record) error { return l.storeWith(t, r, "") }

func (l *Ledger) storeWith(t *wire.Tx, r *record, set string) error {
	id := r.rec.ID
	args := []wire.Arg{
		wire.Bytes(nameOf(id)), wire.Int(r.rec.Generation), wire.Int(r.rec.Fence), wire.Int(r.rec.Attempts), wire.Int(r.seq),
		wire.BytesOrNull(r.parent), wire.Int(r.series), wire.Int(r.rec.Series), wire.Int(r.done), wire.BytesOrNull(r.inline),
	}
	for i, name := range attemptColumns {
		set += ", " + name + " = $" + strconv.Itoa(len(args)+i+1)
	}
	args = append(args, attemptArgs(r.rec.Current, r.out)...)
	s := l.stmt(`update {s}.record set generation = $2, fence = $3, attempts = $4, seq = $5, parent = $6, parent_series = $7, series = $8, done = $9,
		inline = $10`+set+` where id = $1`, args...)
	if err := t.Do(s); err != nil {
		return err
	}
	if s.Rows != 1 {
		return ledger.ErrChanged
	}
	return nil
}

// restore puts the latest attempt of the table attempt back as the current one of a locked
// record. Without one, the record has no history.
func (l *Ledger) restore(t *wire.Tx, r *record) error {
	name := nameOf(r.rec.ID)
	var found bool
	last := l.stmt("select a.seq, a.inline, "+columnsOf("a.", attemptColumns)+" from {s}.attempt a where a.id = $1 order by a.seq desc limit 1", wire.Bytes(name))
	r.rec.Current, r.out, r.inline, r.seq, r.done = ledger.Attempt{}, output{}, nil, 0, 0
	last.Each = func(row *wire.Row) error {
		found = true
		r.seq, r.inline = row.Int(), row.Bytes()
		r.rec.Current, r.out = scanAttempt(row)
		if a := &r.rec.Current; a.Reason == ledger.ReasonLost && a.Ended.IsZero() { // as it was before lostColumns
			a.State, a.Reason, a.Truncated = ledger.Running, "", false
		}
		return nil
	}
	if err := t.Do(last); err != nil {
		return err
	}
	if found {
		if err := t.Do(l.stmt("delete from {s}.attempt where id = $1 and seq = $2", wire.Bytes(name), wire.Int(r.seq))); err != nil {
			return err
		}
	}
	r.rec.Attempts--
	r.done = r.doneBy(r.rec.Current)
	return l.store(t, r)
}
