package runner

import (
	"context"
	"errors"
	"time"

	"idem/ledger"
)

// waiter waits for a key or for mutexes and informs the user. One call may wait several
// times, and its limit covers all of them.
type waiter struct {
	*call
	ctx  context.Context // ends at the limit
	next time.Time       // when to call Waiting.Tell again; zero before the first time
}

// goOn calls wait if the call may wait. It reports whether the wait has ended before the
// limit, so the call decides again. Otherwise the call is refused.
func (w *waiter) goOn(wait func() error) (bool, error) {
	if !w.Wait.Set {
		return false, nil
	}
	err := wait()
	if errors.Is(err, context.DeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// wait waits until the key can be claimed or the limit is over.
func (w *waiter) wait(busy *ledger.BusyError) error {
	if w.Waiting.Tell == nil {
		return w.Ledger.Wait(w.ctx, w.ID)
	}
	if w.next.IsZero() {
		w.notify(busy)
	}
	for {
		until, cancel := w.ctx, func() {}
		if w.Waiting.Remind > 0 {
			until, cancel = context.WithDeadline(w.ctx, w.next)
		}
		err := w.Ledger.Wait(until, w.ID)
		cancel()
		if w.ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		rec, err := w.Ledger.Get(context.WithoutCancel(w.ctx), w.ID)
		if err != nil {
			return err
		}
		if rec.Current.RunID != busy.Record.Current.RunID { // another call holds the key now
			busy = &ledger.BusyError{ID: w.ID}
		}
		busy.Record = rec
		w.notify(busy)
	}
}

// queue waits until the mutexes can be taken or the limit is over. A call of Claim.Queue
// that ends without success loses its place in the line, so one call lasts over all
// reminders.
func (w *waiter) queue(claim ledger.Claim, full *ledger.MutexError) error {
	if w.Waiting.Tell == nil {
		return claim.Queue(w.ctx, w.Mutexes, w.Owner())
	}
	w.notify(full)
	var remind <-chan time.Time
	if w.Waiting.Remind > 0 {
		ticker := time.NewTicker(w.Waiting.Remind)
		defer ticker.Stop()
		remind = ticker.C
	}
	done := make(chan error, 1)
	go func() { done <- claim.Queue(w.ctx, w.Mutexes, w.Owner()) }()
	for {
		select {
		case err := <-done:
			return err
		case <-remind:
		}
		states, err := w.Ledger.Mutexes(context.WithoutCancel(w.ctx), w.ID.Namespace, w.mutexNames()...)
		if err != nil {
			continue // Queue finds a fault of the ledger too
		}
		if _, now := w.mutexesIn(states); now != nil {
			full = now
		}
		w.notify(full)
	}
}

func (w *waiter) notify(held error) {
	var busy *ledger.BusyError
	runs := errors.As(held, &busy) && w.Policy.Fresh && !w.baseline.before(busy.Record)
	w.Waiting.Tell(held, runs)
	w.next = time.Now().Add(w.Waiting.Remind)
}
