package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// take takes the claim on the server, and reads the record.
func (c *claim) take(ctx context.Context, last evidence) error {
	known, err := uuidOf(c.here)
	if err != nil {
		return c.ledger.explain(err)
	}
	taken, kept, err := c.ask(ctx, known, last, false)
	if own := c.now.own; err == nil && !taken && own.lease.site == c.here.site {
		if err = c.leftovers(); err == nil {
			taken, kept, err = c.ask(ctx, known, last, true)
		}
	}
	if err != nil {
		return err
	}
	if !taken {
		return c.refused(ctx, known, last)
	}
	c.ledger.leases.add(c.held)
	if err := c.leftovers(); err != nil {
		c.leaveToProcesses(ctx, kept)
		return err
	}
	return nil
}

// prepare is take for a person. It only looks whether the claim can be taken. The transaction of
// Mark takes it, so a mark that fails leaves the holder of the row as it was.
func (c *claim) prepare(ctx context.Context) error {
	l := c.ledger
	known, err := uuidOf(c.here)
	if err != nil {
		return l.explain(err)
	}
	var m meta
	if err := l.do(ctx, wire.Read, l.metaStmt(&m)); err != nil {
		return err
	}
	if err := m.refusal(known, true); err != nil {
		return l.explain(err)
	}
	if c.now, err = l.read(ctx, c.id); err != nil {
		return err
	}
	c.held = c.newHeld()
	if own := c.now.own; own.lease.valid() && own.lease.site != c.here.site {
		return c.taken(ctx)
	}
	return c.leftovers()
}

func (c *claim) newHeld() *held {
	o := c.ledger.opt
	return &held{id: c.name[:], holder: wire.UUID(uuid.New()), length: o.Lease, keep: o.Keep, lost: make(chan struct{})}
}

// claimStmt returns claimSQL for a holder.
func (c *claim) claimStmt(h *held, known wire.UUID, last evidence, searched bool) *wire.Stmt {
	l := c.ledger
	take := l.many(claimSQL,
		wire.Bytes(c.name[:]), wire.Raw(c.id.Namespace), wire.Raw(c.id.Key), wire.Raw(c.id.Window), wire.ID(h.holder),
		wire.ID(c.here.site), wire.Raw(l.host), wire.Int(os.Getpid()), wire.Int(h.length.Microseconds()), wire.Bool(!h.keep),
		wire.ID(known), wire.Int(format), last.witness(), wire.Int(last.fence), wire.Int(last.generation), wire.Text(last.run), wire.Bool(searched), wire.Bool(c.person))
	take.One = l.stmt(claimOne).SQL
	return take
}

// ask sends claimSQL, and reads the record. kept says that only a person could have ended the claim before this one.
func (c *claim) ask(ctx context.Context, known wire.UUID, last evidence, searched bool) (taken, kept bool, err error) {
	l := c.ledger
	h := c.newHeld()
	take := c.claimStmt(h, known, last, searched)
	f := newFamily(c.id)
	take.Each = func(row *wire.Row) error {
		kept = row.Bool()
		c.here.confirmations(row.Int())
		return f.set(scanWhole(row))
	}
	stmts := append([]*wire.Stmt{take}, l.aboveStmts(c.id, &f)...)
	err = l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		h.since = sinceBoot()
		return l.session.Do(ctx, wire.Lazy, stmts...)
	})
	taken = take.Rows > 0
	switch {
	case err != nil:
	case taken:
		err = l.explain(f.resolve())
	default:
		f, err = l.read(ctx, c.id)
	}
	c.held, c.now = h, f
	if taken && err != nil {
		_ = c.giveBack(ctx) // else the lease ends by itself
	}
	return taken, kept, err
}

// uuidOf returns the ID of the ledger that a local directory belongs to: its name.
func uuidOf(here *local) (wire.UUID, error) {
	u, err := uuid.Parse(filepath.Base(here.dir.Path()))
	return wire.UUID(u), err
}

// refused returns the error of a claim that was not given. It is errWitnessGone if the claim may
// be given without the witness, which is dropped.
func (c *claim) refused(ctx context.Context, known wire.UUID, last evidence) error {
	l := c.ledger
	var m meta
	err := l.do(ctx, wire.Read, l.metaStmt(&m))
	if err == nil {
		err = m.refusal(known, false)
	}
	if err == nil {
		err = l.checkWitness(ctx, last)
	}
	if errors.Is(err, errForgotten) && last.confirmations < m.confirmations {
		err = errWitnessGone
	}
	if errors.Is(err, errWitnessGone) {
		c.here.dropWitness(last)
		return err
	}
	if err != nil {
		return l.explain(err)
	}
	return c.taken(ctx)
}

// taken returns the error of a claim that another holder has.
func (c *claim) taken(ctx context.Context) error {
	f := c.now
	rec, err := c.ledger.seen(ctx, f.own, filelock.AllLeftovers)
	if err != nil {
		return err
	}
	if f.own.lease.kept && f.own.lease.left <= 0 {
		return &ledger.KeptError{ID: c.id, Record: rec}
	}
	return &ledger.BusyError{ID: c.id, Record: rec}
}

// leftovers returns an error if processes of the current attempt are alive on this host. They
// are found by their environment, because they have closed the descriptor of the life lock.
func (c *claim) leftovers() error {
	rec := c.now.own.rec
	if rec.Current.State != ledger.Running {
		return nil
	}
	found := filelock.LeftoversOf(rec.Current.RunID)
	if len(found) == 0 {
		return nil
	}
	rec.Alive = true
	return &ledger.BusyError{ID: c.id, Record: rec, Leftover: true, Holders: found}
}

// leaveToProcesses ends a claim that the caller does not get, because processes of the
// recorded attempt are alive on this host. The row is not given back, and a keeper renews
// the lease until they have ended. kept says that only a person could end the claim of the
// attempt.
func (c *claim) leaveToProcesses(ctx context.Context, kept bool) {
	l := c.ledger
	l.leases.leave(c.held, c.now.own.rec.Current.RunID, kept)
	if kept { // on failure, the lease ends as an ordinary one
		_ = l.do(ctx, wire.Lazy, l.stmt("update {s}.record set takeover = false where id = $1 and holder = $2", wire.Bytes(c.name[:]), wire.ID(c.held.holder)))
	}
}
