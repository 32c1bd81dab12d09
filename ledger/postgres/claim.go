package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"

	"idem/internal/failpoint"
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

// ClaimKept implements ledger.Overriding.
func (l *Ledger) ClaimKept(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.claimFor(ctx, id, true)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *Ledger) claim(ctx context.Context, id ledger.ID) (*claim, error) {
	return l.claimFor(ctx, id, false)
}

// claimFor is Claim. With person, it is ClaimKept.
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
	lock, err := here.locks.Take(name, filelock.Claim)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, l.busy(ctx, id, false)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	leftover, err := lock.OtherHeld(filelock.Life)
	if leftover || err != nil {
		_ = lock.Release()
		if err != nil {
			return nil, l.explain(err)
		}
		return nil, l.busy(ctx, id, true)
	}
	failpoint.Here("claim.taken")
	c := &claim{ledger: l, here: here, id: id, name: name, lock: lock}
	err = l.syncFirst(ctx, here, name)
	if err == nil {
		err = c.take(ctx, here.lastWitness(), person)
	}
	if errors.Is(err, errWitnessGone) {
		err = c.take(ctx, evidence{}, person)
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

// take takes the claim on the server, and reads the record.
func (c *claim) take(ctx context.Context, last evidence, person bool) error {
	known, err := uuidOf(c.here)
	if err != nil {
		return c.ledger.explain(err)
	}
	taken, kept, err := c.ask(ctx, known, last, false, person)
	if own := c.now.own; err == nil && !taken && own.lease.site == c.here.site {
		if err = c.leftovers(); err == nil {
			taken, kept, err = c.ask(ctx, known, last, true, person)
		}
	}
	if err != nil {
		return err
	}
	if !taken {
		return c.refused(ctx, known, last, c.now)
	}
	c.ledger.leases.add(c.held)
	if err := c.leftovers(); err != nil {
		c.leaveToProcesses(ctx, kept)
		return err
	}
	return nil
}

// ask sends claimSQL. kept says that only a person could have ended the claim before this one.
func (c *claim) ask(ctx context.Context, known wire.UUID, last evidence, searched, person bool) (taken, kept bool, err error) {
	l := c.ledger
	holder := wire.UUID(uuid.New())
	h := &held{id: c.name[:], holder: holder, length: l.opt.Lease, keep: l.opt.Keep, lost: make(chan struct{})}
	take := l.many(claimSQL, append([]wire.Arg{
		wire.Bytes(c.name[:]), wire.Raw(c.id.Namespace), wire.Raw(c.id.Key), wire.Raw(c.id.Window), wire.ID(holder),
		wire.ID(c.here.site), wire.Raw(l.host), wire.Int(os.Getpid()), wire.Int(l.opt.Lease.Microseconds()), wire.Bool(!l.opt.Keep),
		wire.ID(known), wire.Int(format), wire.Bool(searched), wire.Bool(person),
	}, last.args()...)...)
	take.Each = func(row *wire.Row) error {
		kept = row.Bool()
		c.here.confirmations(row.Int())
		return nil
	}
	var f family
	read := l.claimedStmt(c.id, &f)
	err = l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		h.since = sinceBoot()
		return l.session.Do(ctx, wire.Lazy, take, read)
	})
	if err == nil {
		err = l.explain(f.resolve())
	}
	c.held, c.now = h, f
	return take.Rows > 0, kept, err
}

// uuidOf returns the ID of the ledger that a local directory belongs to: its name.
func uuidOf(here *local) (wire.UUID, error) {
	u, err := uuid.Parse(filepath.Base(here.dir.Path()))
	return wire.UUID(u), err
}

// refused returns the error of a claim that was not given. It is errWitnessGone if the claim may
// be given without the witness, which is dropped.
func (c *claim) refused(ctx context.Context, known wire.UUID, last evidence, f family) error {
	l := c.ledger
	var m meta
	err := l.do(ctx, wire.Read, l.metaStmt(&m))
	if err == nil {
		err = m.refusal(known)
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
	rec, err := l.seen(ctx, f.own, filelock.AllLeftovers)
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

// giveBack frees the row. If the server does not get it, the lease ends by itself.
func (c *claim) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	give := c.ledger.many(giveBackSQL, wire.Bytes(c.name[:]), wire.ID(c.held.holder))
	return c.ledger.session.Do(ctx, wire.Lazy, append([]*wire.Stmt{give}, c.leave()...)...)
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
	switch {
	case life == nil:
		return nil
	case reason == ledger.ReasonExit:
		return life.Release()
	default:
		return life.Leave()
	}
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
	return poll(ctx, func() (bool, error) {
		here, err := l.openLocal(context.WithoutCancel(ctx), false)
		if err != nil {
			return false, err
		}
		if here != nil { // this host's locks are free of cost
			if alive, err := here.alive(id, ledger.Running); alive || err != nil {
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
