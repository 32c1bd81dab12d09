package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/mutex"
	"idem/ledger/postgres/wire"
)

// Queue implements ledger.Claim. A claim joins the lines of all its mutexes in one
// transaction, with one ticket. The claim with the lowest ticket is therefore first in all its
// lines, so some claim always gets on. The ticket is drawn while the mutexes are locked. So a
// ticket that is not visible yet is higher than all that are.
//
// Each waiter watches only what is in its way. A look at the locks of this host costs no round
// trip. For the rest, the waiter asks the server.
func (c *claim) Queue(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	c.mu.Lock()
	released, holds, waits := c.lock == nil, c.mutex, c.ticket > 0
	c.mu.Unlock()
	switch {
	case released:
		return errReleased
	case holds:
		return nil
	}
	if !waits {
		if err := c.join(context.WithoutCancel(ctx), mutexes, owner); err != nil {
			return c.ledger.explain(err)
		}
	}
	failpoint.Here("queue.joined")
	err := c.awaitPlaces(ctx, mutexes, owner)
	if err == nil || errors.Is(err, errReleased) {
		return err
	}
	c.leaveLines()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return c.ledger.explain(err)
}

// join takes a ticket and stores it in the lines of the mutexes. It is not durable: if the
// server forgets it, the claim joins again.
func (c *claim) join(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	l := c.ledger
	var ticket int64
	var lock *filelock.Lock
	unlock := func() {
		if lock != nil {
			_ = lock.Release()
		}
		lock = nil
	}
	err := l.tx(ctx, wire.Lazy, func(t *wire.Tx) error {
		if err := l.lockMutexes(t, c.id.Namespace, mutexes); err != nil {
			return err
		}
		if lock != nil { // an earlier try, which was perhaps committed
			found, err := c.inLine(t, ticket)
			if found || err != nil {
				return err
			}
			unlock()
		}
		var err error
		if ticket, err = l.number(t); err != nil {
			return err
		}
		if lock, err = c.here.locks.Take(filelock.TicketName(ticket), filelock.Claim); err != nil {
			return err
		}
		failpoint.Here("queue.ticket")
		// All rows of the key go: those of earlier claims, those of a line that the claim leaves, and
		// places, because a claim that waits holds none.
		stmts := []*wire.Stmt{l.stmt("delete from {s}.mutex where id = $1", wire.Bytes(c.name[:]))}
		for _, m := range mutexes {
			stmts = append(stmts, c.insertTicket(m, ticket, owner))
		}
		if err := t.Do(stmts...); err != nil {
			return err
		}
		for _, s := range stmts[1:] {
			if s.Rows == 0 {
				return fmt.Errorf("%w: key %q", ledger.ErrLost, c.id.Key)
			}
		}
		return nil
	})
	c.mu.Lock()
	gone := c.lock == nil
	if err == nil && !gone {
		c.endTicket()
		c.ticket, c.ticketLock = ticket, lock
	}
	c.mu.Unlock()
	if err == nil && gone { // released during the transaction
		_ = l.do(ctx, wire.Lazy, c.dropTickets())
		err = errReleased
	}
	if err != nil {
		unlock()
	}
	return err
}

// inLine reports whether the ticket is in the table.
func (c *claim) inLine(t *wire.Tx, ticket int64) (bool, error) {
	s := c.ledger.stmt("select 1 from {s}.mutex where id = $1 and holder = $2 and ticket = $3", wire.Bytes(c.name[:]), wire.ID(c.held.holder), wire.Int(ticket))
	err := t.Do(s)
	return s.Rows > 0, err
}

func (c *claim) dropTickets() *wire.Stmt {
	return c.ledger.stmt("delete from {s}.mutex where id = $1 and holder = $2 and ticket > 0", wire.Bytes(c.name[:]), wire.ID(c.held.holder))
}

// insertTicket stores a row in a line, unless another claim has the key.
func (c *claim) insertTicket(m ledger.Mutex, ticket int64, o ledger.Owner) *wire.Stmt {
	return c.ledger.stmt(`insert into {s}.mutex (namespace, name, ticket, place, places, id, key, win, holder, run_id, host, pid, usr, since, site)
		select $1, $2, $3, 0, $4, r.id, $6, $7, r.holder, '', $9, $10, $11, pg_catalog.clock_timestamp(), r.site from {s}.record r where r.id = $5 and r.holder = $8`,
		wire.Raw(c.id.Namespace), wire.Raw(m.Name), wire.Int(ticket), wire.Int(m.Limit), wire.Bytes(c.name[:]), wire.Raw(c.id.Key), wire.Raw(c.id.Window),
		wire.ID(c.held.holder), wire.Raw(o.Host), wire.Int(o.PID), wire.Raw(o.User))
}

// endTicket unlocks the ticket. Other calls of this host then see that the claim does not wait.
// The caller holds c.mu.
func (c *claim) endTicket() {
	if c.ticketLock != nil {
		_ = c.ticketLock.Release()
	}
	c.ticket, c.ticketLock = 0, nil
}

// leaveLines gives the ticket back. If the server does not answer, the rows stop to count on
// this host at once. On other hosts, they count until the claim ends.
func (c *claim) leaveLines() {
	c.mu.Lock()
	waits := c.ticket > 0
	c.endTicket()
	c.mu.Unlock()
	if !waits {
		return
	}
	_ = c.ledger.leaving(context.Background(), c.dropTickets())
}

// The pauses of a waiter. It looks at locks of this host more often, because that costs little.
const (
	firstAsk  = 50 * time.Millisecond
	longAsk   = time.Second
	firstLook = 5 * time.Millisecond
	longLook  = 100 * time.Millisecond
	// askAgain bounds the time without a question while locks of this host show that a holder is
	// in the way. The key's claim may have passed on to a call that does not hold the mutex.
	askAgain = 3 * time.Second
	// askRarely is that of a waiter behind a ticket of this host, which means one thing only.
	askRarely = time.Minute
)

// obstacle is what is in the way of a claim.
type obstacle struct {
	gone  func() (bool, error) // looks at this host; nil: only the server knows
	again time.Duration        // when to ask the server although gone says no; 0: soon
}

// awaitPlaces returns when nothing is in the way of the claim, or with the error of ctx.
func (c *claim) awaitPlaces(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	var o *obstacle
	var ask time.Time // when the server is asked next
	askPause, lookPause := firstAsk, firstLook
	for {
		if err := c.waitable(); err != nil {
			return err
		}
		gone := o == nil
		if o != nil && o.gone != nil {
			var err error
			if gone, err = o.gone(); err != nil {
				return err
			}
		}
		if gone || !time.Now().Before(ask) {
			next, err := c.inTheWay(context.WithoutCancel(ctx), mutexes, owner)
			switch {
			case err == nil && next == nil:
				return nil
			case err == nil:
				if o = next; gone {
					askPause, lookPause = firstAsk, firstLook
				}
			// A waiter survives a short outage, as a running command does: its claim is kept
			// until the lease ends.
			case !errors.Is(err, ledger.ErrUnreachable) || ctx.Err() != nil || o == nil:
				return err
			}
			pause := askPause
			askPause = min(askPause*3/2, longAsk)
			if o.gone != nil && o.again > 0 {
				pause = o.again
			}
			pause = spread(pause)
			if ask = time.Now().Add(pause); pause > longAsk+longAsk/2 {
				c.ledger.session.Close() // many calls may wait on this host
			}
		}
		pause := time.Until(ask)
		if o.gone != nil {
			pause = min(pause, spread(lookPause))
			lookPause = min(lookPause*3/2, longLook)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.held.lost: // the next round reports it
		case <-time.After(pause):
		}
	}
}

// spread changes a pause at random, so that the calls of many hosts do not ask together.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2))
}

// waitable returns an error if the claim is released or lost.
func (c *claim) waitable() error {
	if err := c.checkHeld(); err != nil {
		return err
	}
	select {
	case <-c.held.lost:
		return fmt.Errorf("%w: key %q", ledger.ErrLost, c.id.Key)
	default:
		return nil
	}
}

// inTheWay returns what is in the way of the claim, or nil if nothing is. If the claim is no
// longer in its lines, it joins them again: the server has crashed, or the lease had ended for
// a moment.
func (c *claim) inTheWay(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) (*obstacle, error) {
	l := c.ledger
	for {
		c.mu.Lock()
		ticket := c.ticket
		c.mu.Unlock()
		var rows []mutexRow
		stmt := l.rowsOf(c.id.Namespace, mutexNames(mutexes), &rows)
		read := func() ([]mutexRow, error) {
			err := l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
				rows = nil
				return l.session.Do(ctx, wire.Read, stmt)
			})
			return rows, err
		}
		o, joined, err := c.firstObstacle(mutexes, ticket, read)
		if joined || err != nil {
			return o, err
		}
		if err := c.waitable(); err != nil {
			return nil, err
		}
		if err := c.join(ctx, mutexes, owner); err != nil {
			return nil, err
		}
	}
}

// firstObstacle looks for an obstacle. The function read returns the rows of all mutexes. joined is
// false if the claim is missing in one of its lines.
func (c *claim) firstObstacle(mutexes []ledger.Mutex, ticket int64, read func() ([]mutexRow, error)) (o *obstacle, joined bool, err error) {
	rows, err := read()
	if err != nil {
		return nil, false, err
	}
	judge := judge(c.here, c.held.holder, filelock.SearchOnce())
	for _, m := range mutexes {
		again := false
		v, err := mutex.Settle(m, ticket, func() (v mutex.View[mutexRow], err error) {
			if again {
				rows, err = read()
			}
			if again = true; err != nil {
				return v, err
			}
			return mutex.Look(c.id.Namespace, m.Name, rows, judge)
		})
		if err != nil {
			return nil, false, err
		}
		if !v.Waits {
			return nil, false, nil
		}
		if o != nil || v.Own != nil {
			continue
		}
		if r := v.Before(ticket); r != nil {
			o = &obstacle{r.changed(c.here), askRarely}
		} else if v.Place(m.Limit) == 0 {
			o = c.oneOf(v.Holders)
		}
	}
	return o, true, nil
}

// oneOf returns the obstacle that is gone when one of the holders is.
func (c *claim) oneOf(holders []mutexRow) *obstacle {
	var each []func() (bool, error)
	for _, r := range holders {
		changed := r.changed(c.here)
		if changed == nil {
			return &obstacle{}
		}
		each = append(each, changed)
	}
	return &obstacle{filelock.AnyOf(each), askAgain}
}
