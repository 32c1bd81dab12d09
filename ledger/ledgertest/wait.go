package ledgertest

import (
	"context"
	"time"

	"idem/ledger"
)

var waitCases = []testCase{
	{"WaitReturnsOnRelease", waitReturnsOnRelease, nil},
	{"WaitTakesNothing", waitTakesNothing, nil},
	{"WaitHonoursContext", waitHonoursContext, nil},
	{"CancelledContext", cancelledContext, nil},
}

// moment is the time that a case waits for an event that must not happen. If it is too
// short, a case can miss an error, but it never reports a false one.
const moment = 30 * time.Millisecond

// waiting starts a Wait on each handle.
func (k *kit) waiting(ctx context.Context, id ledger.ID) <-chan error {
	done := make(chan error, 2)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		go func() { done <- l.Wait(ctx, id) }()
	}
	return done
}

// answer returns the result of a Wait. It fails the case after hangGuard, because a faulty
// ledger may ignore ctx.
func (k *kit) answer(done <-chan error) error {
	k.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(hangGuard):
		k.Fatal("Wait does not return")
		return nil
	}
}

func (k *kit) stillWaiting(done <-chan error, while string) {
	k.Helper()
	select {
	case err := <-done:
		k.Fatalf("Wait returned %v while %s", err, while)
	case <-time.After(moment):
	}
}

func waitReturnsOnRelease(k *kit) {
	id := key("k")
	k.ok(k.a.Wait(k.ctx, id), "Wait for a free key")

	c := k.claim(k.a, id)
	done := k.waiting(k.ctx, id)
	k.stillWaiting(done, "the key is claimed")
	x := k.begin(c)
	k.stillWaiting(done, "the command runs")
	k.finish(x, success)
	k.stillWaiting(done, "the claim is not released")
	k.release(c)
	for range 2 {
		k.ok(k.answer(done), "Wait")
	}
	k.claimFree(id)

	// A claim of another key has no effect.
	c = k.claim(k.b, key("other"))
	k.ok(k.a.Wait(k.ctx, id), "Wait while another key is claimed")
	k.release(c)
}

func waitTakesNothing(k *kit) {
	id := key("k")
	k.interrupt(k.a, id)
	for range 20 {
		k.ok(k.a.Wait(k.ctx, id), "Wait for an interrupted key")
		k.phase(id, ledger.PhaseInterrupted)
		k.release(k.claim(k.b, id))
	}

	// A waiter in the background does not prevent the next claim either.
	for range 20 {
		c := k.claim(k.a, id)
		done := k.waiting(k.ctx, id)
		k.release(c)
		k.release(k.claim(k.b, id))
		for range 2 {
			k.ok(k.answer(done), "Wait")
		}
	}
}

func waitHonoursContext(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)

	ctx, cancel := context.WithCancel(k.ctx)
	done := k.waiting(ctx, id)
	k.stillWaiting(done, "the key is claimed")
	cancel()
	for range 2 {
		k.is(k.answer(done), context.Canceled, "Wait, then cancelled")
	}
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.is(l.Wait(ctx, id), context.Canceled, "Wait, cancelled before")
		k.ok(l.Wait(ctx, key("free")), "Wait for a free key, cancelled before")
	}

	ctx, cancel = context.WithTimeout(k.ctx, moment)
	defer cancel()
	done = k.waiting(ctx, id)
	for range 2 {
		k.is(k.answer(done), context.DeadlineExceeded, "Wait with a deadline")
	}
	k.claimBusy(id)
	k.release(c)
	k.claimFree(id)
}

// cancelledContext: with a cancelled context, methods do nothing and hold nothing. Finish
// may do its work nevertheless, because an outcome must not be lost.
func cancelledContext(k *kit) {
	id, other := key("k"), key("other")
	k.run(k.a, id, failure)
	before := k.get(k.a, id)
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()

	for _, l := range []ledger.Ledger{k.a, k.b} {
		_, err := l.Get(ctx, id)
		k.is(err, context.Canceled, "Get, cancelled")
		_, err = ledger.Collect(l.List(ctx, ledger.Filter{}))
		k.is(err, context.Canceled, "List, cancelled")
		_, err = l.Attempts(ctx, id)
		k.is(err, context.Canceled, "Attempts, cancelled")
		_, err = l.Output(ctx, id, before.Current.RunID)
		k.is(err, context.Canceled, "Output, cancelled")
		_, err = l.Claim(ctx, id)
		k.is(err, context.Canceled, "Claim, cancelled")
		k.is(l.Forget(ctx, id), context.Canceled, "Forget, cancelled")
	}
	k.claimFree(id)

	c := k.claim(k.a, id)
	_, err := c.Record(ctx)
	k.is(err, context.Canceled, "Record, cancelled")
	_, err = c.Begin(ctx, newStart())
	k.is(err, context.Canceled, "Begin, cancelled")
	_, err = c.Mark(ctx, newMark(before, ledger.Succeeded))
	k.is(err, context.Canceled, "Mark, cancelled")
	after := k.get(k.b, id)
	k.same(after.Retrying(), true, "Retrying of a failure, with the claim held")
	after.Fence, after.Alive = before.Fence, false
	k.same(after, before, "record after cancelled calls")
	k.same(len(k.attempts(k.b, id)), 1, "attempts after cancelled calls")

	x := k.begin(c)
	if _, err := x.Finish(ctx, success); err != nil {
		k.is(err, context.Canceled, "Finish, cancelled")
		k.phase(id, ledger.PhaseRunning)
		k.finish(x, success)
	}
	k.phase(id, ledger.PhaseSucceeded)
	k.release(c)
	k.run(k.b, other, success)
}
