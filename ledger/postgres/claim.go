package postgres

import (
	"context"
	"errors"
	"sync"

	"idem/internal/failpoint"
	"idem/internal/poll"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// Claim implements ledger.Ledger. It takes the lock of this host first. So on one host nothing
// depends on a clock, and at most one call per host asks the server for the key.
func (l *Ledger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.claim(ctx, id)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ClaimSettling implements ledger.Overriding.
func (l *Ledger) ClaimSettling(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.claimFor(ctx, id, true)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *Ledger) claim(ctx context.Context, id ledger.ID) (*claim, error) {
	return l.claimFor(ctx, id, false)
}

// claimFor is Claim. With person, it is ClaimSettling.
func (l *Ledger) claimFor(ctx context.Context, id ledger.ID, person bool) (*claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	here, err := l.openLocal(ctx, true)
	if err != nil {
		return nil, err
	}
	name := filelock.NameOf(id)
	failpoint.Here("claim.before")
	lock, leftover, err := filelock.TakeClaim(here.locks, name)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, l.busy(ctx, id, leftover)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	failpoint.Here("claim.taken")
	c := &claim{ledger: l, here: here, id: id, name: name, lock: lock, person: person}
	err = l.syncFirst(ctx, here, name, person)
	switch {
	case err != nil:
	case person:
		err = c.prepare(ctx)
	default:
		err = c.take(ctx, here.lastWitness())
		if errors.Is(err, errWitnessGone) {
			err = c.take(ctx, evidence{})
		}
	}
	if err != nil {
		_ = lock.Release()
		return nil, err
	}
	return c, nil
}

// busy returns the error of a key that is held.
func (l *Ledger) busy(ctx context.Context, id ledger.ID, leftover bool) error {
	rec, err := l.Get(ctx, id)
	if err != nil {
		return err
	}
	busy := &ledger.BusyError{ID: id, Record: rec, Leftover: leftover}
	if leftover {
		busy.Holders = l.Holders(id)
	}
	return busy
}

// Holders implements ledger.Tracing. It knows the processes of this host.
func (l *Ledger) Holders(id ledger.ID) []ledger.Process {
	here, err := l.openLocal(context.Background(), false)
	if here == nil || err != nil {
		return nil
	}
	return here.locks.Holders(filelock.NameOf(id))
}

// claim implements ledger.Claim.
type claim struct {
	ledger *Ledger
	here   *local
	id     ledger.ID
	name   filelock.Name
	person bool // of ClaimSettling; Mark takes the row

	mu     sync.Mutex
	lock   *filelock.Lock // nil when released
	life   *filelock.Lock // of the execution in progress, if there is one
	held   *held
	given  bool   // the row was given back, in the commit of an outcome
	unsent bool   // the outcome of the last command is not recorded
	killed bool   // the last command that ended did not exit by itself
	run    string // the last attempt
	now    family // as it was read last; Begin relies on it

	ticket     int64          // in the lines of mutexes, from Queue to Begin
	ticketLock *filelock.Lock // shows the ticket to other calls of this host
	mutex      bool           // it holds mutexes
	mayHold    bool           // a Begin has tried to take some; its answer may be lost
	shown      bool           // Record has returned it
	dirty      bool           // the record may have changed since
}

var errReleased = errors.New("the claim is released")

func (c *claim) checkHeld() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return errReleased
	}
	return nil
}

// Lost implements ledger.Claim.
func (c *claim) Lost() <-chan struct{} { return c.held.lost }

// giveBack frees the row. If the server does not get it, the lease ends by itself.
func (c *claim) giveBack(ctx context.Context) error {
	give := c.ledger.many(giveBackSQL, wire.Bytes(c.name[:]), wire.ID(c.held.holder))
	return c.ledger.leaving(ctx, append([]*wire.Stmt{give}, c.leave()...)...)
}

// Release implements ledger.Claim. While processes of a killed command live, the row keeps its
// holder.
func (c *claim) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	failpoint.Here("release.before")
	unfinished := c.life != nil
	c.killed = c.killed || unfinished
	err := c.endLife(ledger.ReasonLost)
	leftover := false
	if err == nil && c.killed {
		leftover, err = c.lock.OtherHeld(filelock.Life)
	}
	if unfinished && !leftover { // they may have closed the descriptor
		leftover = len(filelock.LeftoversOf(c.run)) > 0
	}
	c.ledger.leases.awaitRest(c.held)
	c.ledger.leases.remove(c.held)
	given := c.given
	if !given && !leftover && !c.unsent && err == nil { // before its outcome, the key must not look free
		given = c.giveBack(context.Background()) == nil // without it, the lease ends by itself
	}
	if given {
		c.ledger.leases.keeping.done(c.held)
	} else {
		c.ledger.leases.keeping.leave(c.held)
	}
	c.endTicket()
	err = errors.Join(err, c.lock.Release())
	c.lock = nil
	failpoint.Here("release.after")
	return c.ledger.explain(err)
}

// endLife gives the life lock up, as in the embedded ledger. The caller holds c.mu.
func (c *claim) endLife(reason ledger.Reason) error {
	life := c.life
	c.life = nil
	if life == nil {
		return nil
	}
	return life.End(reason != ledger.ReasonExit)
}

// Record implements ledger.Claim.
func (c *claim) Record(ctx context.Context) (ledger.Record, error) {
	if err := errors.Join(c.checkHeld(), ctx.Err()); err != nil {
		return ledger.Record{}, err
	}
	c.mu.Lock()
	f, known := c.now, !c.shown && !c.dirty
	c.shown = true
	c.mu.Unlock()
	if known {
		return f.own.rec, nil
	}
	f, err := c.ledger.read(ctx, c.id)
	if err == nil {
		c.mu.Lock()
		c.now, c.dirty = f, false
		c.mu.Unlock()
	}
	return f.own.rec, err
}

// changed makes the next Record and Begin read the record again.
func (c *claim) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// Wait implements ledger.Ledger. It polls, because a pooler does not pass notifications on.
func (l *Ledger) Wait(ctx context.Context, id ledger.ID) error {
	l.session.Withdraw(ctx) // the caller may change something long after it has called Together
	return poll.Until(ctx, firstAsk, longAsk, func() (bool, error) {
		here, err := l.openLocal(context.WithoutCancel(ctx), false)
		if err != nil {
			return false, err
		}
		if here != nil { // this host's locks are free of cost
			alive, err := here.alive(id, ledger.Running)
			if alive { // many callers that wait on this host need no connections
				l.session.Close()
			}
			if alive || err != nil {
				return false, l.explain(err)
			}
		}
		f, err := l.read(context.WithoutCancel(ctx), id)
		if err != nil {
			return false, err
		}
		r := f.own
		if here != nil && r.lease.site == here.site {
			return r.rec.Current.State != ledger.Running || len(filelock.LeftoversOf(r.rec.Current.RunID)) == 0, nil
		}
		return !r.lease.valid(), nil
	})
}
