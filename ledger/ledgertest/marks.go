package ledgertest

import (
	"idem/ledger"
)

var markCases = []testCase{
	{"MarkSettles", markSettles, nil},
	{"MarkFirst", markFirst, nil},
	{"MarkSettlesInterrupted", markSettlesInterrupted, nil},
	{"MarkForRetryKeepsHistory", markForRetryKeepsHistory, nil},
	{"MarkOfChangedFails", markOfChangedFails, nil},
	{"MarkWhileHeldIsBusy", markWhileHeldIsBusy, nil},
}

func newMark(expect ledger.Record, s ledger.State) ledger.Mark {
	m := ledger.Mark{
		Expect: expect, State: s, RunID: newRunID(),
		Note:  "looked at the bank's side: \"it's paid\" – zoë",
		Owner: ledger.Owner{Host: "laptop", PID: 12, User: "ops"},
	}
	if s == ledger.Failed {
		m.ExitCode = 42
	}
	return m
}

// mark settles id by hand and checks what that records.
func (k *kit) mark(l ledger.Ledger, id ledger.ID, s ledger.State) ledger.Attempt {
	k.Helper()
	before, history := k.get(l, id), k.attempts(l, id)
	m := newMark(before, s)
	k.ok(l.Mark(k.ctx, id, m), "Mark")

	r := k.get(k.b, id)
	a := r.Current
	k.same(a, ledger.Attempt{
		RunID: m.RunID, State: s, Reason: ledger.ReasonMarked, ExitCode: m.ExitCode,
		Note: m.Note, Owner: m.Owner,
		// The contract leaves open what a mark was decided on, and a mark
		// takes no time.
		Fingerprint: a.Fingerprint, Inputs: a.Inputs, Started: a.Started, Ended: a.Ended,
	}, "current attempt after Mark")
	if a.Started.IsZero() || a.Ended.IsZero() {
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

// markFirst: a key can be settled before it was ever run.
func markFirst(k *kit) {
	for _, s := range []ledger.State{ledger.Succeeded, ledger.Failed} {
		id := key("first " + string(s))
		k.mark(k.a, id, s)
		k.phase(id, ledger.Phase(s))
		k.same(k.run(k.b, id, success).Number, 1, "number of the attempt after a mark")
		k.ok(k.a.Forget(k.ctx, id), "Forget")
		k.phase(id, ledger.PhaseNone)
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

// markOfChangedFails: who marks has looked at a record, and what he decided
// holds for that one only.
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
		err := k.a.Mark(k.ctx, id, newMark(expect, ledger.Succeeded))
		k.is(err, ledger.ErrChanged, "Mark that expects "+what)
	}
	k.same(k.get(k.a, id), stuck, "record after refused marks")
	k.same(len(k.attempts(k.a, id)), 2, "attempts after refused marks")

	c := k.claim(k.b, id)
	x := k.begin(c)
	running := k.get(k.a, id)
	k.finish(x, success)
	k.release(c)
	k.is(k.a.Mark(k.ctx, id, newMark(running, ledger.Failed)), ledger.ErrChanged, "Mark of an attempt that ended meanwhile")
	k.phase(id, ledger.PhaseSucceeded)

	done := k.get(k.a, id)
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	k.is(k.a.Mark(k.ctx, id, newMark(done, ledger.Failed)), ledger.ErrChanged, "Mark of a forgotten key")
	k.is(k.a.Mark(k.ctx, id, newMark(none, ledger.Failed)), ledger.ErrChanged, "Mark that expects no record of an earlier generation")
	k.phase(id, ledger.PhaseNone)
}

func markWhileHeldIsBusy(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(l.Mark(k.ctx, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark before Begin")
	}
	x := k.begin(c)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		busy := k.busy(l.Mark(k.ctx, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark of a running key")
		k.same(busy.Record.Current.RunID, x.Attempt().RunID, "run id of the busy record")
	}
	k.finish(x, success)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(l.Mark(k.ctx, id, newMark(k.get(l, id), ledger.Failed)), id, "Mark before Release")
	}
	k.phase(id, ledger.PhaseSucceeded)
	k.release(c)
	k.mark(k.a, id, ledger.Failed)
	k.claimFree(id) // a mark does not stay in the way
}
