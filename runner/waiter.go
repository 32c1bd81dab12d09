package runner

import (
	"context"
	"errors"
	"time"

	"idem/ledger"
)

// waiter waits for a key, maybe several times in one call, and tells of it.
type waiter struct {
	call *Call
	next time.Time // when to tell of it again; zero: it was not told yet
}

// wait waits until the key can be claimed, or for the end of ctx.
func (w *waiter) wait(ctx context.Context, l ledger.Ledger, busy *ledger.BusyError) error {
	c := w.call
	if c.Waiting == nil {
		return l.Wait(ctx, c.ID)
	}
	if w.next.IsZero() {
		w.tell(busy)
	}
	for {
		until, cancel := ctx, func() {}
		if c.Remind > 0 {
			until, cancel = context.WithDeadline(ctx, w.next)
		}
		err := l.Wait(until, c.ID)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		rec, err := l.Get(context.WithoutCancel(ctx), c.ID)
		if err != nil {
			return err
		}
		if rec.Current.RunID != busy.Record.Current.RunID { // another call took it
			busy = &ledger.BusyError{ID: c.ID}
		}
		busy.Record = rec
		w.tell(busy)
	}
}

func (w *waiter) tell(busy *ledger.BusyError) {
	w.call.Waiting(busy)
	w.next = time.Now().Add(w.call.Remind)
}
