package ledgertest

import (
	"errors"

	"idem/ledger"
)

var attemptCases = []testCase{
	{"FinishTwiceChangesNothing", finishTwiceChangesNothing, nil},
	{"FinishAfterAbandonChangesNothing", finishAfterAbandonChangesNothing, nil},
	{"FinishAfterTakeoverIsLost", finishAfterTakeoverIsLost, nil},
	{"FinishAfterMarkOrForgetIsLost", finishAfterMarkOrForgetIsLost, nil},
	{"AbandonRestoresNone", abandonRestoresNone, nil},
	{"AbandonRestoresDone", abandonRestoresDone, nil},
	{"AbandonRestoresInterrupted", abandonRestoresInterrupted, nil},
	{"AbandonAfterTakeoverChangesNothing", abandonAfterTakeoverChangesNothing, nil},
	{"FenceGrows", fenceGrows, nil},
}

// finishTwiceChangesNothing: a second Finish returns either ErrLost, because the attempt is
// no longer running, or the recorded attempt, as after an unknown commit result.
func finishTwiceChangesNothing(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	done := k.finish(x, failure)
	for _, o := range []ledger.Outcome{failure, success} {
		a, err := x.Finish(k.ctx, o)
		switch {
		case err == nil:
			k.same(a, done, "answer of a second Finish")
		case !errors.Is(err, ledger.ErrLost):
			k.Errorf("second Finish: got error %v, want ErrLost or none", err)
		}
		k.same(k.get(k.b, id).Current, done, "current attempt after a second Finish")
		k.same(k.attempts(k.b, id), []ledger.Attempt{done}, "history after a second Finish")
	}
	k.release(c)
}

func finishAfterAbandonChangesNothing(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	k.ok(x.Abandon(k.ctx), "Abandon")
	_, err := x.Finish(k.ctx, success)
	k.is(err, ledger.ErrLost, "Finish after Abandon")
	k.phase(id, ledger.PhaseNone)
	k.release(c)
}

func finishAfterTakeoverIsLost(k *kit) {
	id := key("k")
	old := k.interrupt(k.a, id)
	c := k.claim(k.b, id)
	x := k.begin(c)
	_, err := old.Finish(k.ctx, failure)
	k.is(err, ledger.ErrLost, "Finish while another run is running")
	k.same(k.get(k.a, id).Current, x.Attempt(), "current attempt after a late Finish")
	k.phase(id, ledger.PhaseRunning)
	k.claimBusy(id)

	done := k.finish(x, success)
	k.release(c)
	_, err = old.Finish(k.ctx, failure)
	k.is(err, ledger.ErrLost, "Finish after another run's end")
	k.same(k.get(k.a, id).Current, done, "current attempt after a late Finish")
	as := k.attempts(k.a, id)
	if len(as) != 2 || as[0].Reason != ledger.ReasonLost {
		k.Errorf("want a lost attempt and another, got %+v", as)
	}
}

func finishAfterMarkOrForgetIsLost(k *kit) {
	id := key("k")
	old := k.interrupt(k.a, id)
	k.mark(k.b, id, ledger.Succeeded)
	_, err := old.Finish(k.ctx, failure)
	k.is(err, ledger.ErrLost, "Finish after Mark")
	k.phase(id, ledger.PhaseSucceeded)

	old = k.interrupt(k.a, id)
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	_, err = old.Finish(k.ctx, failure)
	k.is(err, ledger.ErrLost, "Finish after Forget")
	k.phase(id, ledger.PhaseNone)
}

// abandon begins an attempt and abandons it. Only the fence may change.
func (k *kit) abandon(id ledger.ID) {
	k.Helper()
	before, history := k.get(k.b, id), k.attempts(k.b, id)
	c := k.claim(k.a, id)
	x := k.begin(c)
	x.Write(ledger.Stdout, []byte("cannot be, but does no harm"))
	k.same(x.Attempt().Number, before.Attempts+1, "number of the attempt")
	k.ok(x.Abandon(k.ctx), "Abandon")
	k.release(c)

	after := k.get(k.b, id)
	if after.Fence < x.Fence() {
		k.Errorf("fence fell from %d to %d with Abandon", x.Fence(), after.Fence)
	}
	after.Fence = before.Fence
	k.same(after, before, "record after Abandon")
	k.same(k.attempts(k.b, id), history, "history after Abandon")
	_, err := k.b.Output(k.ctx, id, x.Attempt().RunID)
	k.is(err, ledger.ErrNotFound, "Output of an abandoned attempt")
}

func abandonRestoresNone(k *kit) {
	id := key("k")
	k.abandon(id)
	k.phase(id, ledger.PhaseNone)
	k.listed(ledger.Filter{})
	k.is(k.a.Forget(k.ctx, id), ledger.ErrNotFound, "Forget of an abandoned key")

	k.run(k.a, id, success)
	k.ok(k.a.Forget(k.ctx, id), "Forget")
	k.abandon(id)
	k.phase(id, ledger.PhaseNone)
	k.listed(ledger.Filter{})
}

func abandonRestoresDone(k *kit) {
	id := key("k")
	k.run(k.a, id, failure)
	k.abandon(id)
	k.phase(id, ledger.PhaseFailed)
	k.run(k.b, id, success)
	k.abandon(id)
	k.phase(id, ledger.PhaseSucceeded)
	k.mark(k.a, id, ledger.None)
	k.abandon(id)
	k.phase(id, ledger.PhaseRetry)
	k.same(k.run(k.a, id, success).Number, 3, "number after abandoned attempts")
}

// abandonRestoresInterrupted: when a command could not be started, the outcome of the
// earlier one must stay unknown.
func abandonRestoresInterrupted(k *kit) {
	id := key("k")
	k.interrupt(k.b, id)
	k.abandon(id)
	k.phase(id, ledger.PhaseInterrupted)
}

func abandonAfterTakeoverChangesNothing(k *kit) {
	id := key("k")
	old := k.interrupt(k.a, id)
	done := k.run(k.b, id, success)
	_ = old.Abandon(k.ctx) // the contract does not define the error
	k.same(k.get(k.b, id).Current, done, "current attempt after a late Abandon")
	k.same(len(k.attempts(k.b, id)), 2, "attempts after a late Abandon")
}

// fenceGrows: the fence grows over finished, abandoned and lost attempts, marks and Forget.
// Execution.Fence returns the fence of the record.
func fenceGrows(k *kit) {
	id := key("k")
	last := int64(0)
	begin := func() (ledger.Claim, ledger.Execution) {
		k.Helper()
		c := k.claim(k.a, id)
		x := k.begin(c)
		if x.Fence() <= last {
			k.Fatalf("fence %d after %d", x.Fence(), last)
		}
		last = x.Fence()
		k.same(k.get(k.b, id).Fence, last, "fence of the record")
		return c, x
	}
	for range 2 {
		c, x := begin()
		k.finish(x, failure)
		k.release(c)
		c, x = begin()
		k.ok(x.Abandon(k.ctx), "Abandon")
		k.release(c)
		c, _ = begin()
		k.release(c)
		c, x = begin()
		k.finish(x, success)
		k.release(c)
		k.mark(k.b, id, ledger.None)
		k.ok(k.b.Forget(k.ctx, id), "Forget")
		if got := k.get(k.b, id).Fence; got < last {
			k.Errorf("fence fell from %d to %d with Forget", last, got)
		}
	}
	k.run(k.a, id, success)
}
