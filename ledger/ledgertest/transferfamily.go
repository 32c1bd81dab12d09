package ledgertest

import (
	"idem/ledger"
)

// putOfAChild: steps and items keep their parent, in the series that the parent has.
func putOfAChild(k *kit) {
	to := k.second()
	p := key("p")
	k.run(k.a, p, failure)
	k.child(p, "old", success)
	k.ok(k.a.Forget(k.ctx, p), "Forget")
	k.run(k.a, p, success)
	k.child(p, "a", success)
	k.child(p, "b", failure)
	k.child(below(p, "b"), "c", success)
	if k.get(k.a, p).Series == 0 {
		k.Fatal("the parent has no series")
	}
	for r, err := range k.a.(ledger.Transferring).Numbers(k.ctx, "") {
		k.ok(err, "Numbers")
		k.ok(k.put(to, r.ID, ledger.Import{Expect: k.get(to, r.ID), Generation: r.Generation, Fence: r.Fence, Series: r.Series}), "Put of numbers")
	}
	for _, id := range []ledger.ID{below(p, "b/c"), below(p, "a"), below(p, "b"), p} {
		k.copyTo(to, id)
	}
	want := k.list(k.a, ledger.Filter{Under: p})
	for _, w := range want {
		k.same(k.get(to, w.ID).Phase(), w.Phase(), "phase of "+w.ID.Key)
	}
	k.same(len(k.list(to, ledger.Filter{Under: p})), len(want), "records below the parent")
	k.same(k.get(to, below(p, "old")).Phase(), ledger.PhaseNone, "phase of the forgotten child")
	if g := k.get(to, below(p, "old")).Generation; g <= 1 {
		k.Errorf("the forgotten child has generation %d again", g)
	}
	if s, ok := to.(ledger.Surveying); ok {
		done, err := s.Successes(k.ctx, p)
		k.ok(err, "Successes")
		if !done.Has(below(p, "a"), k.get(to, below(p, "a")).Current.Fingerprint) {
			k.Error("the success of a child is not found")
		}
	}
	k.ok(to.Forget(k.ctx, p), "Forget")
	k.same(k.get(to, below(p, "a")).Phase(), ledger.PhaseNone, "phase of a child after Forget of its parent")
}

// putForgetsNoChild: a greater series of the import does not forget the records below.
func putForgetsNoChild(k *kit) {
	p := key("p")
	k.run(k.a, p, success)
	k.child(p, "a", success)
	k.ok(k.put(k.a, p, ledger.Import{Expect: k.get(k.a, p), Generation: 9, Fence: 9, Series: 10_000}), "Put of numbers")
	k.phase(below(p, "a"), ledger.PhaseSucceeded)
	k.same(len(k.list(k.b, ledger.Filter{Under: p})), 1, "records below the parent")
	k.ok(k.a.Forget(k.ctx, p), "Forget")
	if r := k.get(k.b, below(p, "a")); r.Phase() != ledger.PhaseNone || r.Generation < 2 {
		k.Errorf("the child after Forget of its parent: %+v", r)
	}
}

func numbersAreThoseThatMustNotReturn(k *kit) {
	p := ledger.ID{Namespace: "prod", Key: "p"}
	k.release(k.claim(k.a, key("claimed")))
	k.run(k.a, key("plain"), success)
	k.run(k.a, key("forgotten"), success)
	k.ok(k.a.Forget(k.ctx, key("forgotten")), "Forget")
	k.run(k.a, p, success)
	k.child(p, "a", success)
	k.ok(k.a.Forget(k.ctx, p), "Forget")
	k.run(k.a, p, success)
	numbers := func(namespace string) map[ledger.ID]ledger.Record {
		k.Helper()
		all, err := ledger.Collect(k.b.(ledger.Transferring).Numbers(k.ctx, namespace))
		k.ok(err, "Numbers")
		found := map[ledger.ID]ledger.Record{}
		for _, r := range all {
			found[r.ID] = r
		}
		return found
	}
	all := numbers("")
	for id, history := range map[ledger.ID]bool{key("forgotten"): false, p: true} {
		r, now := all[id], k.get(k.b, id)
		k.same([]int64{r.Generation, r.Fence, r.Series}, []int64{now.Generation, now.Fence, now.Series}, "numbers of "+id.Key)
		k.same(r.Current.RunID != "", history, "history of "+id.Key)
	}
	for _, id := range []ledger.ID{key("claimed"), key("plain"), key("never")} {
		if r, ok := all[id]; ok {
			k.Errorf("numbers of key %q: %+v", id.Key, r)
		}
	}
	one := numbers("prod")
	if _, ok := one[p]; !ok {
		k.Error("no numbers of the parent")
	}
	for id := range one {
		if id.Namespace != p.Namespace {
			k.Errorf("key %q is in another namespace", id.Key)
		}
	}
}
