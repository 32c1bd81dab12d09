package ledgertest

import (
	"idem/ledger"
)

var forgetCases = []testCase{
	{"ForgetMissing", forgetMissing, nil},
	{"ForgetWhileHeldIsBusy", forgetWhileHeldIsBusy, nil},
	{"ForgetRaisesGeneration", forgetRaisesGeneration, nil},
	{"ForgetInterrupted", forgetInterrupted, nil},
	{"ForgetIf", forgetIf, nil},
}

func forgetMissing(k *kit) {
	id := key("k")
	k.is(k.a.Forget(k.ctx, id), ledger.ErrNotFound, "Forget of a key that was never run")
	k.same(k.get(k.b, id).Generation, int64(1), "generation after Forget of nothing")

	k.run(k.a, id, success)
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	k.is(k.a.Forget(k.ctx, id), ledger.ErrNotFound, "second Forget")
	k.same(k.get(k.b, id).Generation, int64(2), "generation after a second Forget")
}

func forgetWhileHeldIsBusy(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(l.Forget(k.ctx, id), id, "Forget of a running key")
	}
	done := k.finish(x, success)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.busy(l.Forget(k.ctx, id), id, "Forget before Release")
	}
	k.same(k.get(k.b, id).Current, done, "current attempt after refused Forgets")
	k.release(c)
	k.ok(k.b.Forget(k.ctx, id), "Forget after Release")
	k.claimFree(id)
}

// forgetIf checks that a record is forgotten only as it was read.
func forgetIf(k *kit) {
	id := key("k")
	k.run(k.a, id, failure)
	was := k.get(k.a, id)
	k.run(k.b, id, success)
	k.is(k.a.ForgetIf(k.ctx, was), ledger.ErrChanged, "ForgetIf after another attempt")
	k.phase(id, ledger.PhaseSucceeded)
	was = k.get(k.a, id)
	c := k.claim(k.b, id)
	k.busy(k.a.ForgetIf(k.ctx, was), id, "ForgetIf of a held key")
	k.release(c)
	for rec, err := range k.a.List(k.ctx, ledger.Filter{}) {
		k.ok(err, "List")
		k.ok(k.a.ForgetIf(k.ctx, rec), "ForgetIf of a listed record")
	}
	k.is(k.a.ForgetIf(k.ctx, was), ledger.ErrChanged, "ForgetIf of a forgotten record")
	k.same(k.get(k.b, id).Generation, int64(2), "generation")
}

func forgetRaisesGeneration(k *kit) {
	id, neighbour := key("k"), ledger.ID{Namespace: "default", Key: "k", Window: "w"}
	kept := k.run(k.a, neighbour, success)
	for generation := int64(1); generation <= 3; generation++ {
		first := k.run(k.a, id, failure)
		second := k.run(k.b, id, success)
		k.same([]int{first.Number, second.Number}, []int{1, 2}, "numbers in a new generation")
		before := k.get(k.a, id)
		k.same(before.Generation, generation, "generation")

		k.ok(k.a.Forget(k.ctx, id), "Forget")
		after := k.get(k.b, id)
		k.same(after, ledger.Record{ID: id, Generation: generation + 1, Fence: max(before.Fence, after.Fence)}, "record after Forget")
		k.phase(id, ledger.PhaseNone)
		if as := k.attempts(k.b, id); len(as) != 0 {
			k.Errorf("a forgotten key has attempts: %+v", as)
		}
		for _, a := range []ledger.Attempt{first, second} {
			_, err := k.b.Output(k.ctx, id, a.RunID)
			k.is(err, ledger.ErrNotFound, "Output of a forgotten attempt")
		}
	}
	k.same(k.get(k.b, neighbour).Current, kept, "the same key in a window")
}

func forgetInterrupted(k *kit) {
	id := key("k")
	k.interrupt(k.a, id)
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	k.phase(id, ledger.PhaseNone)
	k.same(k.run(k.a, id, success).Number, 1, "number in the new generation")
}
