package ledgertest

import (
	"idem/ledger"
)

var claimCases = []testCase{
	{"ClaimIsExclusive", claimIsExclusive, nil},
	{"ClaimCoversTheWholeRun", claimCoversTheWholeRun, nil},
	{"BusyNamesOwner", busyNamesOwner, nil},
	{"ClaimsOfOtherKeysDoNotWait", claimsOfOtherKeysDoNotWait, nil},
	{"ClaimReadsAgain", claimReadsAgain, nil},
	{"ReleaseIsIdempotent", releaseIsIdempotent, nil},
	{"ReleasedRunningIsInterrupted", releasedRunningIsInterrupted, nil},
	{"BeginNeedsTheClaim", beginNeedsTheClaim, nil},
	{"LostIsSignalled", lostIsSignalled, nil},
}

// claimIsExclusive: a claim excludes all other claims, also of the same process.
func claimIsExclusive(k *kit) {
	id := key("k")
	for _, l := range []ledger.Ledger{k.a, k.b} {
		c := k.claim(l, id)
		k.claimBusy(id)
		k.claimBusy(id) // a refused claim must not end the lock
		k.release(c)
		k.claimFree(id)
	}
}

func claimCoversTheWholeRun(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	k.claimBusy(id)
	k.finish(x, success)
	k.claimBusy(id)
	k.phase(id, ledger.PhaseSucceeded)

	x = k.begin(c)
	k.claimBusy(id)
	k.ok(x.Abandon(k.ctx), "Abandon")
	k.claimBusy(id)
	k.release(c)
	k.claimFree(id)
}

func busyNamesOwner(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		_, err := l.Claim(k.ctx, id)
		busy := k.busy(err, id, "Claim of a running key")
		k.same(busy.Record.ID, id, "ID of the busy record")
		k.same(busy.Record.Current.Owner, someone, "owner of the busy record")
		k.same(busy.Record.Current.RunID, x.Attempt().RunID, "run id of the busy record")
		k.same(busy.Record.Current.Started, x.Attempt().Started, "start of the busy record")
		k.same(busy.Record.Phase(), ledger.PhaseRunning, "phase of the busy record")
		k.same(busy.Leftover, false, "Leftover while the holder is alive")
	}
	k.finish(x, success)
	k.release(c)
}

// claimsOfOtherKeysDoNotWait claims all odd IDs at once. If a ledger confuses two IDs, the
// second one is busy.
func claimsOfOtherKeysDoNotWait(k *kit) {
	var held []ledger.Claim
	for i, id := range oddIDs() {
		l := k.a
		if i%2 == 1 {
			l = k.b
		}
		c, err := l.Claim(k.ctx, id)
		if err != nil {
			k.Fatalf("Claim of %+v while others are held: %v", id, err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		k.finish(k.begin(c), success)
	}
	for _, c := range held {
		k.release(c)
	}
}

// claimReadsAgain: a record that was read before the claim may have changed since. One that
// is read through the claim cannot change.
func claimReadsAgain(k *kit) {
	id := key("k")
	k.phase(id, ledger.PhaseNone)
	done := k.run(k.b, id, success)
	c := k.claim(k.a, id)
	r, err := c.Record(k.ctx)
	k.ok(err, "Record")
	k.same(r.Current, done, "current attempt, read through the claim")
	k.same(r.Phase(), ledger.PhaseSucceeded, "phase, read through the claim")
	k.release(c)
}

func releaseIsIdempotent(k *kit) {
	id := key("k")
	old := k.claim(k.a, id)
	k.release(old)
	k.release(old)

	// A late second Release must not end a claim of another process.
	c := k.claim(k.b, id)
	k.release(old)
	k.claimBusy(id)
	k.release(c)
	c = k.claim(k.a, id)
	k.release(old)
	k.claimBusy(id)
	k.release(c)
	k.claimFree(id)
}

func releasedRunningIsInterrupted(k *kit) {
	id := key("k")
	first := k.interrupt(k.a, id).Attempt()
	k.phase(id, ledger.PhaseInterrupted)
	r := k.get(k.b, id)
	k.same(r.Current, first, "current attempt of an interrupted key")
	k.same(r.Alive, false, "Alive of an interrupted key")

	// The lost attempt is recorded as lost only at the next Begin.
	c := k.claim(k.b, id)
	r, err := c.Record(k.ctx)
	k.ok(err, "Record")
	k.same(r.Current, first, "current attempt, read through the claim")

	x := k.begin(c)
	k.same(x.Attempt().Number, 2, "number after an interrupted attempt")
	lost := first
	lost.State, lost.Reason = ledger.Failed, ledger.ReasonLost
	second := k.finish(x, success)
	k.release(c)
	as := k.attempts(k.a, id)
	if len(as) != 2 {
		k.Fatalf("want two attempts, got %+v", as)
	}
	// The contract does not define these fields of a lost attempt.
	lost.ExitCode, lost.OutputBytes, lost.Truncated = as[0].ExitCode, as[0].OutputBytes, as[0].Truncated
	k.same(as, []ledger.Attempt{lost, second}, "history")
	k.phase(id, ledger.PhaseSucceeded)
}

// beginNeedsTheClaim: an attempt that is recorded without the claim could run at the same
// time as another one.
func beginNeedsTheClaim(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	k.release(c)
	if _, err := c.Begin(k.ctx, newStart()); err == nil {
		k.Error("Begin succeeds on a released claim")
	}
	k.phase(id, ledger.PhaseNone)
	k.claimFree(id)
}

func lostIsSignalled(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	defer c.Release()
	if k.h.Lose == nil {
		if c.Lost() != nil {
			k.Error("Lost is not nil, but the harness cannot lose a claim")
		}
		return
	}
	x := k.begin(c)
	select {
	case <-c.Lost():
		k.Fatal("Lost is closed at once")
	default:
	}
	k.h.Lose(k.T, c)
	select {
	case <-c.Lost():
	case <-k.ctx.Done():
		k.Fatal("Lost is not closed after the loss")
	}

	// After the claim was lost, the attempt's outcome is unknown, so the key is
	// interrupted. The next process that claims it can execute it.
	if k.h.LostKeepsLocks {
		k.release(c)
	}
	k.ok(k.b.Wait(k.ctx, id), "Wait")
	k.phase(id, ledger.PhaseInterrupted)
	k.run(k.b, id, success)
	_, err := x.Finish(k.ctx, failure)
	k.is(err, ledger.ErrLost, "Finish after the loss")
	k.phase(id, ledger.PhaseSucceeded)
}
