package sqlite

import (
	"context"
	"errors"
	"time"

	"idem/internal/failpoint"
	"idem/internal/poll"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/mutex"
)

// The pauses between two looks at locks.
const (
	firstLook = 2 * time.Millisecond
	longLook  = 50 * time.Millisecond
)

// Queue implements ledger.Claim. A claim joins the lines of all its mutexes in one
// transaction, with one ticket. The claim with the lowest ticket is therefore first in all
// its lines, so some claim always gets on. A transaction of Begin sees all earlier tickets,
// so no call overtakes a waiter. The order does not depend on the kernel or on a clock.
//
// Each waiter watches only the locks that are in its way. Like Wait, it polls.
func (c *claim) Queue(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	c.mu.Lock()
	released, holds, waits := c.lock == nil, len(c.places) > 0, c.ticket.number > 0
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
	err := c.awaitPlaces(ctx, mutexes)
	if err == nil || errors.Is(err, errReleased) {
		return err
	}
	c.mu.Lock()
	c.ticket.end()
	c.mu.Unlock()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return c.ledger.explain(err)
}

// join takes a ticket and stores it in the lines of the mutexes.
func (c *claim) join(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	l := c.ledger
	use := ledger.MutexUse{ID: c.id, Owner: owner, Since: fromMicros(micros(l.now()))}
	var t ticket
	err := l.write(ctx, func(tx querier) (err error) {
		t.end() // of an earlier transaction
		if t, err = l.newTicket(ctx, tx); err != nil {
			return err
		}
		for _, m := range mutexes {
			r := mutexRow{Row: mutex.Row{Ticket: t.number, Namespace: c.id.Namespace, Name: m.Name, Limit: m.Limit, Use: use}}
			if err := r.store(ctx, tx); err != nil {
				return err
			}
		}
		failpoint.Here("queue.ticket")
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.lock == nil {
		err = errReleased
	}
	if err != nil {
		t.end()
		return err
	}
	c.ticket = t
	return nil
}

// ticket is the right of a claim to its places in lines. The zero value is none.
type ticket struct {
	number int64
	lock   *filelock.Lock
}

// newTicket returns a ticket with a higher number than any that is in line. It deletes the rows of
// all other tickets, because a claim writes nothing when it leaves its lines. It reads only the
// numbers, so a damaged row affects only the calls in its line.
func (l *Ledger) newTicket(ctx context.Context, tx querier) (t ticket, err error) {
	numbers, err := ticketsOf(ctx, tx)
	if err != nil {
		return ticket{}, err
	}
	for _, n := range numbers {
		held, err := l.locks.Held(filelock.TicketName(n), filelock.Claim)
		if held {
			t.number = n
		} else if err == nil {
			_, err = tx.ExecContext(ctx, "delete from mutexes where ticket=?", n)
		}
		if err != nil {
			return ticket{}, err
		}
	}
	for { // a ticket without a row belongs to a claim that is about to unlock it
		t.number++
		t.lock, err = l.locks.Take(filelock.TicketName(t.number), filelock.Claim)
		if !errors.Is(err, filelock.ErrHeld) {
			return t, err
		}
	}
}

// ticketsOf returns the numbers of all tickets, in order.
func ticketsOf(ctx context.Context, q querier) ([]int64, error) {
	return numbers(ctx, q, "select distinct ticket from mutexes where ticket>0 and typeof(ticket)='integer' order by ticket")
}

func (t *ticket) end() {
	if t.lock != nil {
		_ = t.lock.Release()
	}
	*t = ticket{}
}

// awaitPlaces returns when nothing is in the way of the claim, or with the error of ctx.
func (c *claim) awaitPlaces(ctx context.Context, mutexes []ledger.Mutex) error {
	var gone func() (bool, error)
	return poll.Until(ctx, firstLook, longLook, func() (bool, error) {
		if err := c.checkHeld(); err != nil {
			return false, err
		}
		if gone != nil {
			if ok, err := gone(); !ok || err != nil {
				return false, err
			}
		}
		var err error
		gone, err = c.inTheWay(context.WithoutCancel(ctx), mutexes)
		return gone == nil, err
	})
}

// inTheWay returns a function that reports whether something that is in the way now has
// gone, or nil if nothing is in the way.
func (c *claim) inTheWay(ctx context.Context, mutexes []ledger.Mutex) (gone func() (bool, error), err error) {
	l, namespace := c.ledger, c.id.Namespace
	db, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	ticket := c.ticket.number
	c.mu.Unlock()
	alive := filelock.SearchOnce()
	for _, m := range mutexes {
		v, err := mutex.Settle(m, ticket, func() (mutex.View[mutexRow], error) { return l.look(ctx, db, namespace, m.Name, alive) })
		if err != nil {
			return nil, err
		}
		if r := v.Before(ticket); r != nil {
			return filelock.Unlocked(l.locks, filelock.TicketName(r.Ticket), filelock.Claim), nil
		}
		place := v.Place(m.Limit)
		if place == 0 {
			return l.oneGone(v.Holders), nil
		}
		name := filelock.PlaceName(namespace, m.Name, place)
		if held, err := l.locks.Held(name, filelock.Life); held || err != nil {
			return filelock.Unlocked(l.locks, name, filelock.Life), err
		}
	}
	return nil, nil
}

// oneGone returns a function that reports whether one of the holders has gone.
func (l *Ledger) oneGone(holders []mutexRow) func() (bool, error) {
	var each []func() (bool, error)
	for _, r := range holders {
		if r.lockless {
			each = append(each, filelock.Ended(r.Use.RunID))
		} else {
			each = append(each, filelock.Unlocked(l.locks, r.lockName(), filelock.Life))
		}
	}
	return filelock.AnyOf(each)
}
