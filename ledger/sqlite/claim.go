package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"idem/internal/combine"
	"idem/internal/failpoint"
	"idem/internal/poll"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/spool"
)

// Claim implements ledger.Ledger.
func (l *Ledger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.claim(ctx, id)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *Ledger) claim(ctx context.Context, id ledger.ID) (*claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.reader.Load() == nil { // it is opened for a ledger that is ready for writing
		l.mu.Lock()
		_, err := l.writer(ctx)
		l.mu.Unlock()
		if err != nil {
			return nil, l.explain(err)
		}
	}
	name := filelock.NameOf(id)
	failpoint.Here("claim.before")
	held, leftover, err := filelock.TakeClaim(l.locks, name)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, l.busy(ctx, id, leftover)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	failpoint.Here("claim.taken")
	c := &claim{ledger: l, id: id, name: name, lock: held}
	r, err := c.read(ctx)
	if rec := r.rec; err == nil && rec.Current.State == ledger.Running {
		if leftovers := filelock.LeftoversOf(rec.Current.RunID); len(leftovers) > 0 {
			rec.Alive = true
			err = &ledger.BusyError{ID: id, Record: rec, Leftover: true, Holders: leftovers}
		}
	}
	if err != nil {
		_ = held.Release()
		return nil, err
	}
	c.first = &r
	return c, nil
}

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

// Wait implements ledger.Ledger. It polls at growing intervals. A wait in the kernel could
// not be ended by ctx, and the kernel would wake one waiter after the other.
func (l *Ledger) Wait(ctx context.Context, id ledger.ID) error {
	l.changes.Withdraw(combine.AnnouncementIn(ctx)) // the caller may change something long after it has called Together
	db, err := l.database(context.WithoutCancel(ctx))
	if db == nil || err != nil {
		return l.explain(err)
	}
	var leftovers filelock.Leftovers
	return poll.Until(ctx, firstLook, longLook, func() (bool, error) {
		alive, err := l.alive(id)
		if err == nil && !alive {
			alive, err = l.leftoversAlive(context.WithoutCancel(ctx), &leftovers, id)
		}
		return !alive, l.explain(err)
	})
}

// leftoversAlive reports whether processes of id's current attempt are alive. It searches
// all processes only if none of the earlier found leftovers is alive.
func (l *Ledger) leftoversAlive(ctx context.Context, leftovers *filelock.Leftovers, id ledger.ID) (bool, error) {
	if leftovers.Alive() {
		return true, nil
	}
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return false, err
	}
	r, a, err := readBoth(ctx, db, id)
	if err != nil || r.rec.Current.State != ledger.Running {
		return false, err
	}
	return leftovers.Find(a.a.RunID), nil
}

// Holders implements ledger.Tracing.
func (l *Ledger) Holders(id ledger.ID) []ledger.Process { return l.locks.Holders(filelock.NameOf(id)) }

// claim implements ledger.Claim.
type claim struct {
	ledger *Ledger
	id     ledger.ID
	name   filelock.Name

	mu   sync.Mutex
	lock *filelock.Lock // nil when released
	life *filelock.Lock // of the execution in progress, if there is one

	places []place // of mutexes, from the first Begin to Release
	ticket ticket  // in the lines of mutexes, from Queue to Begin
	killed bool    // the last command that ended did not exit by itself

	// first is the record that was read when the claim was taken, so that neither the first
	// Record nor Begin need read it again. It is nil when the record may have changed.
	first     *recordRow
	firstRead bool // Record has returned it
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

func (c *claim) Lost() <-chan struct{} { return nil }

func (c *claim) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	failpoint.Here("release.before")
	// Processes of an unfinished execution's command keep the key and its mutexes busy
	// while they live.
	c.killed = c.killed || c.life != nil
	err := errors.Join(c.endLife(ledger.ReasonLost), c.endPlaces(), c.lock.Release())
	c.ticket.end()
	c.lock = nil
	failpoint.Here("release.after")
	return c.ledger.explain(err)
}

// endLife gives the life lock up. After an exit of the command, it ends the lock for all
// processes. Otherwise it closes only this process's descriptor, so that leftovers of a
// killed command keep the key busy. The caller holds c.mu.
func (c *claim) endLife(reason ledger.Reason) error {
	life := c.life
	c.life = nil
	if life == nil {
		return nil
	}
	return life.End(reason != ledger.ReasonExit)
}

// endPlaces gives the places of mutexes up, as endLife does. The caller holds c.mu.
func (c *claim) endPlaces() error {
	var errs []error
	for _, p := range c.places {
		errs = append(errs, p.lock.End(c.killed))
	}
	c.places = nil
	return errors.Join(errs...)
}

func (c *claim) placeFiles() (files []*os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.places {
		files = append(files, p.lock.File)
	}
	return files
}

func (c *claim) Record(ctx context.Context) (ledger.Record, error) {
	if err := c.checkHeld(); err != nil {
		return ledger.Record{}, err
	}
	c.mu.Lock()
	first, read := c.first, c.firstRead
	c.firstRead = true
	c.mu.Unlock()
	if first != nil && !read && ctx.Err() == nil {
		return first.rec, nil
	}
	r, err := c.read(ctx)
	return r.rec, err
}

// read reads the record.
func (c *claim) read(ctx context.Context) (recordRow, error) {
	db, err := c.ledger.database(ctx)
	if err != nil {
		return recordRow{}, c.ledger.explain(err)
	}
	if c.ledger.unseen.Load() {
		if r, ok, err := readUnseen(ctx, db, c.id); ok || err != nil {
			return r, c.ledger.explain(err)
		}
	}
	r, a, err := readBoth(ctx, db, c.id)
	c.ledger.unseen.Store(err == nil && r.rowid == 0)
	c.mu.Lock()
	executing := c.life != nil
	c.mu.Unlock()
	if err == nil && !executing && a.neverStarted() {
		r, _, err = r.without(ctx, db, a)
	}
	return r, c.ledger.explain(err)
}

// takeFirst returns first and sets it to nil.
func (c *claim) takeFirst() *recordRow {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.first
	c.first = nil
	return first
}

// Begin implements ledger.Claim.
func (c *claim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	if err := c.checkHeld(); err != nil {
		return nil, err
	}
	first := c.takeFirst()
	l := c.ledger
	life, err := l.locks.Take(c.name, filelock.Life)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, l.busy(ctx, c.id, true)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	c.mu.Lock()
	c.life = life
	c.mu.Unlock()
	failpoint.Here("begin.life")
	e := &execution{claim: c, life: life.File, unstart: l.unstarted.Load().Add(s.RunID)}
	failpoint.Here("begin.listed")
	var taken []place
	unseen := first != nil && first.rowid == 0
	begin := func(tx querier) (err error) {
		releaseAll(taken)
		taken, err = c.takeMutexes(ctx, tx, s)
		if err == nil {
			err = e.begin(ctx, tx, s, unseen)
		}
		if err != nil { // later changes of the transaction may take the places
			releaseAll(taken)
			taken = nil
		}
		return err
	}
	err = l.write(ctx, begin)
	if unseen && errors.Is(err, ledger.ErrChanged) { // it got a record as the parent of another one
		unseen = false
		err = l.write(ctx, begin)
	}
	if err != nil {
		e.endLife(ledger.ReasonExit)
		releaseAll(taken)
		if !mayBeCommitted(err) {
			_ = e.unstart.Remove()
		}
		if errors.As(err, new(*ledger.MutexError)) || errors.As(err, new(*ledger.BusyError)) {
			return nil, err
		}
		err = l.explain(err)
		if mayBeCommitted(err) {
			err = fmt.Errorf("%w; nothing was started, but the key may now count as interrupted", err)
		}
		return nil, err
	}
	c.keepMutexes(taken)
	l.removeSpools(e.gone)
	e.undone.forgetUnstarted()
	failpoint.Here("begin.done")
	l.executing.Add(1)
	// The times of output pieces are measured from here, with the monotonic clock. The
	// record has the same instant as the attempt's start.
	if s.MaxOutput != 0 {
		e.spool = spool.NewWriter(s.MaxOutput, time.Now(), func() (*os.File, error) { return l.createSpool(s.RunID) })
	}
	return e, nil
}
