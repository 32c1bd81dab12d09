package runner

import (
	"context"
	"errors"
	"time"

	"idem/ledger"
)

// waiter waits for a key and informs the user. One call may wait several times.
type waiter struct {
	*call
	next time.Time // when to call Waiting.Tell again; zero before the first time
}

// wait waits until the key can be claimed or ctx ends.
func (w *waiter) wait(ctx context.Context, busy *ledger.BusyError) error {
	if w.Waiting.Tell == nil {
		return w.Ledger.Wait(ctx, w.ID)
	}
	if w.next.IsZero() {
		w.notify(busy)
	}
	for {
		until, cancel := ctx, func() {}
		if w.Waiting.Remind > 0 {
			until, cancel = context.WithDeadline(ctx, w.next)
		}
		err := w.Ledger.Wait(until, w.ID)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		rec, err := w.Ledger.Get(context.WithoutCancel(ctx), w.ID)
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

func (w *waiter) notify(busy *ledger.BusyError) {
	w.Waiting.Tell(busy, w.Policy.Fresh && !w.asked.before(busy.Record))
	w.next = time.Now().Add(w.Waiting.Remind)
}
