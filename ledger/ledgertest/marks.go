package ledgertest

import (
	"context"
	"errors"

	"idem/ledger"
)

var markCases = []testCase{
	{"MarkSettles", markSettles, nil},
	{"MarkFirst", markFirst, nil},
	{"MarkSettlesInterrupted", markSettlesInterrupted, nil},
	{"MarkForRetryKeepsHistory", markForRetryKeepsHistory, nil},
	{"MarkOfChangedFails", markOfChangedFails, nil},
	{"MarkWhileHeldIsBusy", markWhileHeldIsBusy, nil},
	{"MarkByTheHolder", markByTheHolder, nil},
	{"MarkBeforeReleaseOnly", markBeforeReleaseOnly, nil},
	{"MarkWithOutput", markWithOutput, nil},
	{"MarkKeepsMaxOutput", markKeepsMaxOutput, nil},
	{"MarkWhoseOutputFails", markWhoseOutputFails, nil},
}

func newMark(expect ledger.Record, s ledger.State) ledger.Mark {
	m := ledger.Mark{
		Expect: expect, State: s, Reason: ledger.ReasonMarked, RunID: newRunID(),
		Note:        "looked at the bank's side: \"it's paid\" – zoë",
		Owner:       ledger.Owner{Host: "laptop", PID: 12, User: "ops"},
		Fingerprint: "h1:beef", Inputs: []byte("\x00what it counts for\xff"), MaxOutput: -1,
	}
	if s == ledger.Failed {
		m.ExitCode = 42
	}
	return m
}

// settle marks id under a new claim.
func settle(ctx context.Context, l ledger.Ledger, id ledger.ID, m ledger.Mark) (ledger.Attempt, error) {
	c, err := l.Claim(ctx, id)
	if err != nil {
		return ledger.Attempt{}, err
	}
	a, err := c.Mark(ctx, m)
	return a, errors.Join(err, c.Release())
}

// refuseMark is settle and returns only the error.
func (k *kit) refuseMark(l ledger.Ledger, id ledger.ID, m ledger.Mark) error {
	_, err := settle(k.ctx, l, id, m)
	return err
}

// mark settles id and checks the recorded mark.
func (k *kit) mark(l ledger.Ledger, id ledger.ID, s ledger.State) ledger.Attempt {
	k.Helper()
	return k.markWith(l, id, newMark(k.get(l, id), s))
}

func (k *kit) markWith(l ledger.Ledger, id ledger.ID, m ledger.Mark) ledger.Attempt {
	k.Helper()
	before, history := m.Expect, k.attempts(l, id)
	answer, err := settle(k.ctx, l, id, m)
	k.ok(err, "Mark")

	r := k.get(k.b, id)
	a := r.Current
	k.same(answer, a, "answer of Mark and current attempt after it")
	k.same(a, ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode,
		Note: m.Note, Owner: m.Owner, Fingerprint: m.Fingerprint, Inputs: m.Inputs,
		Started: a.Started, Ended: a.Started, // a mark takes no time
		OutputBytes: a.OutputBytes, Truncated: a.Truncated, Incomplete: a.Incomplete, Redacted: a.Redacted, NoOutput: a.NoOutput, // the cases about output look at these
	}, "current attempt after Mark")
	if a.Started.IsZero() {
		k.Errorf("a mark has no time: %+v", a)
	}
	k.same(r.Attempts, before.Attempts, "attempts after Mark")
	k.same(r.Generation, before.Generation, "generation after Mark")
	k.same(r.Fence, before.Fence, "fence after Mark")
	k.same(len(k.attempts(k.a, id)), len(history)+1, "length of the history after Mark")
	return a
}

func markSettles(k *kit) {
	id := key("k")
	k.run(k.a, id, failure)
	k.mark(k.a, id, ledger.Succeeded)
	k.phase(id, ledger.PhaseSucceeded)
	k.mark(k.b, id, ledger.Failed)
	k.phase(id, ledger.PhaseFailed)
	k.claimFree(id)

	k.same(k.run(k.a, id, success).Number, 2, "number of the attempt after marks")
	as := k.attempts(k.b, id)
	numbers := []int{}
	for _, a := range as {
		numbers = append(numbers, a.Number)
	}
	k.same(numbers, []int{1, 0, 0, 2}, "numbers of the history")
}

// markFirst: a key can be settled before its first run, for any call or for calls with one
// fingerprint.
func markFirst(k *kit) {
	for s, phase := range map[ledger.State]ledger.Phase{
		ledger.Succeeded: ledger.PhaseSucceeded, ledger.Failed: ledger.PhaseFailed, ledger.None: ledger.PhaseRetry,
	} {
		for _, fingerprint := range []string{"", "h1:beef"} {
			id := key("first " + string(s) + fingerprint)
			m := newMark(k.get(k.a, id), s)
			m.Reason = map[ledger.State]ledger.Reason{ledger.None: ledger.ReasonUnverified, ledger.Failed: ledger.ReasonMarked, ledger.Succeeded: ledger.ReasonProbed}[s]
			if m.Fingerprint = fingerprint; fingerprint == "" {
				m.Inputs = nil
			}
			k.markWith(k.a, id, m)
			k.phase(id, phase)
			k.same(len(k.list(k.b, ledger.Filter{Globs: ledger.Globs{ledger.Glob(id.Key)}, Phases: ledger.Phases{phase}})), 1, "keys listed in the phase")
			k.same(k.run(k.b, id, success).Number, 1, "number of the attempt after a mark")
			k.ok(k.a.Forget(k.ctx, id), "Forget")
			k.phase(id, ledger.PhaseNone)
		}
	}
}

func markSettlesInterrupted(k *kit) {
	for _, s := range []ledger.State{ledger.Succeeded, ledger.Failed, ledger.None} {
		id := key("stuck, then " + string(s))
		k.interrupt(k.a, id)
		marked := k.mark(k.b, id, s)
		as := k.attempts(k.a, id)
		if len(as) != 2 || as[0].State != ledger.Failed || as[0].Reason != ledger.ReasonLost {
			k.Fatalf("want a lost attempt and a mark, got %+v", as)
		}
		k.same(as[1], marked, "mark in the history")
	}
}

func markForRetryKeepsHistory(k *kit) {
	id := key("k")
	first := k.run(k.a, id, success)
	before := k.get(k.a, id)
	marked := k.mark(k.a, id, ledger.None)
	k.phase(id, ledger.PhaseRetry)
	k.same(k.attempts(k.b, id), []ledger.Attempt{first, marked}, "history")
	out, err := k.b.Output(k.ctx, id, first.RunID)
	k.ok(err, "Output of the attempt before the mark")
	k.ok(out.Close(), "Close")

	k.same(k.run(k.b, id, failure).Number, 2, "number of the attempt after a mark")
	k.same(k.get(k.a, id).Generation, before.Generation, "generation")
	k.phase(id, ledger.PhaseFailed)
}

// markOfChangedFails: a mark is decided on a record. If the record has changed, the decision
// no longer holds.
func markOfChangedFails(k *kit) {
	id := key("k")
	none := k.get(k.a, id)
	k.run(k.b, id, failure)
	failed := k.get(k.b, id)
	k.interrupt(k.b, id)
	stuck := k.get(k.b, id)
	otherState := stuck
	otherState.Current.State = ledger.Failed
	for what, expect := range map[string]ledger.Record{
		"no record":           none,
		"the attempt before":  failed,
		"another state of it": otherState,
	} {
		err := k.refuseMark(k.a, id, newMark(expect, ledger.Succeeded))
		k.is(err, ledger.ErrChanged, "Mark that expects "+what)
	}
	k.same(k.get(k.a, id), stuck, "record after refused marks")
	k.same(len(k.attempts(k.a, id)), 2, "attempts after refused marks")

	c := k.claim(k.b, id)
	x := k.begin(c)
	running := k.get(k.a, id)
	k.finish(x, success)
	k.release(c)
	k.is(k.refuseMark(k.a, id, newMark(running, ledger.Failed)), ledger.ErrChanged, "Mark of an attempt that has ended since")
	k.phase(id, ledger.PhaseSucceeded)

	done := k.get(k.a, id)
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	k.is(k.refuseMark(k.a, id, newMark(done, ledger.Failed)), ledger.ErrChanged, "Mark of a forgotten key")
	k.is(k.refuseMark(k.a, id, newMark(none, ledger.Failed)), ledger.ErrChanged, "Mark that expects no record of an earlier generation")
	k.phase(id, ledger.PhaseNone)
}

func markWhileHeldIsBusy(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(k.refuseMark(l, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark before Begin")
	}
	x := k.begin(c)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		busy := k.busy(k.refuseMark(l, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark of a running key")
		k.same(busy.Record.Current.RunID, x.Attempt().RunID, "run id of the busy record")
	}
	k.finish(x, success)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(k.refuseMark(l, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark before Release")
	}
	k.phase(id, ledger.PhaseSucceeded)
	k.release(c)
	k.mark(k.a, id, ledger.Failed)
	k.claimFree(id) // a mark does not keep the key busy
}

// markByTheHolder: the holder of a claim can mark the key, but not while it executes it.
func markByTheHolder(k *kit) {
	id := key("k")
	k.interrupt(k.b, id)
	c := k.claim(k.a, id)
	stuck, err := c.Record(k.ctx)
	k.ok(err, "Record")
	marked, err := c.Mark(k.ctx, newMark(stuck, ledger.Failed))
	k.ok(err, "Mark")
	k.same(k.get(k.b, id).Current, marked, "current attempt after Mark")
	k.claimBusy(id) // the mark does not release the claim

	x := k.begin(c)
	running, err := c.Record(k.ctx)
	k.ok(err, "Record")
	_, err = c.Mark(k.ctx, newMark(running, ledger.Succeeded))
	k.busy(err, id, "Mark of what is being executed")
	k.same(k.get(k.b, id).Current, x.Attempt(), "current attempt after a refused mark")
	done := k.finish(x, failure)
	after, err := c.Record(k.ctx)
	k.ok(err, "Record")
	k.same(after.Current, done, "current attempt")
	_, err = c.Mark(k.ctx, newMark(after, ledger.Succeeded))
	k.ok(err, "Mark after Finish")

	x = k.begin(c)
	k.ok(x.Abandon(k.ctx), "Abandon")
	before, err := c.Record(k.ctx)
	k.ok(err, "Record")
	_, err = c.Mark(k.ctx, newMark(before, ledger.None))
	k.ok(err, "Mark after Abandon")
	k.release(c)
	k.phase(id, ledger.PhaseRetry)
}

func markBeforeReleaseOnly(k *kit) {
	id := key("k")
	none := k.get(k.a, id)
	c := k.claim(k.a, id)
	k.release(c)
	if _, err := c.Mark(k.ctx, newMark(none, ledger.Succeeded)); err == nil {
		k.Error("Mark after Release: no error")
	}
	k.phase(id, ledger.PhaseNone)
}
