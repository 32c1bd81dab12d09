package ledgertest

import (
	"fmt"

	"idem/ledger"
)

var surveyCases = []testCase{
	{"StartFresh", startFresh, nil},
	{"AbandonOfAChild", abandonOfAChild, nil},
	{"ForgetChild", forgetChild, nil},
	{"ForgetWithoutAParent", forgetWithoutAParent, nil},
	{"ListFamilies", listFamilies, nil},
	{"BatchMark", batchMark, nil},
	{"Successes", successesOf, offers[ledger.Surveying]},
	{"Tallies", talliesOf, offers[ledger.Surveying]},
}

// startFresh: Begin forgets the record itself.
func startFresh(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	for i, interrupted := range []bool{false, true} {
		if k.child(parent, "a", success); interrupted {
			k.interrupt(k.a, id)
		}
		k.child(id, "deep", success)
		deep, before := k.get(k.a, below(id, "deep")), k.get(k.a, id)
		s := childOf(parent)
		s.Fresh = true
		a := k.runWith(k.a, id, s, success)
		k.same(a.Number, 1, "number")
		k.same(k.attempts(k.b, id), []ledger.Attempt{a}, "history")
		r := k.get(k.b, id)
		if r.Generation <= before.Generation || r.Fence <= before.Fence {
			k.Errorf("round %d: got %+v after %+v", i, r, before)
		}
		k.same(r.Parent, parent, "parent")
		k.forgottenBelow(below(id, "deep"), deep)
	}
	c := k.claim(k.a, key("never"))
	s := newStart()
	s.Fresh = true
	k.finish(k.beginWith(c, s), success)
	k.release(c)
	k.phase(key("never"), ledger.PhaseSucceeded)
}

func abandonOfAChild(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	abandon := func(s ledger.Start) {
		k.Helper()
		c := k.claim(k.a, id)
		k.ok(k.beginWith(c, s).Abandon(k.ctx), "Abandon")
		k.release(c)
	}
	abandon(childOf(parent))
	k.phase(id, ledger.PhaseNone)
	k.listed(ledger.Filter{Under: parent})
	done := k.child(parent, "a", success)
	before := k.get(k.b, id)
	abandon(childOf(parent))
	now := k.get(k.b, id)
	k.same(now.Current, done, "current attempt after Abandon")
	k.same(now.Parent, before.Parent, "parent after Abandon")
	if now.Fence <= before.Fence {
		k.Errorf("fence %d after %d", now.Fence, before.Fence)
	}
	if s, ok := k.b.(ledger.Surveying); ok {
		got, err := s.Successes(k.ctx, parent)
		k.ok(err, "Successes")
		k.same(got.Has(id, done.Fingerprint), true, "success after Abandon")
	}
	// A child of the child may have raised the numbers since Begin.
	c := k.claim(k.a, id)
	x := k.begin(c)
	k.child(id, "deep", success)
	k.ok(x.Abandon(k.ctx), "Abandon")
	k.release(c)
	k.same(k.get(k.b, id).Current, done, "current attempt after the second Abandon")
	// Abandon does not undo Renew.
	deep := k.get(k.b, below(id, "deep"))
	abandon(renewed())
	k.forgottenBelow(below(id, "deep"), deep)
}

func forgetChild(k *kit) {
	parent := key("p")
	k.child(parent, "a", success)
	k.child(parent, "b", success)
	before := k.get(k.a, below(parent, "a"))
	k.ok(k.b.Forget(k.ctx, below(parent, "a")), "Forget")
	now := k.get(k.a, below(parent, "a"))
	k.same([]any{now.Phase(), now.Generation}, []any{ledger.PhaseNone, before.Generation + 1}, "record after Forget")
	k.listed(ledger.Filter{Under: parent}, "p/b")
	k.is(k.b.Forget(k.ctx, below(parent, "a")), ledger.ErrNotFound, "second Forget")
	k.child(parent, "a", success)
	k.listed(ledger.Filter{Under: parent}, "p/a", "p/b")
}

// forgetWithoutAParent: the children of a key that never ran can be forgotten with it.
func forgetWithoutAParent(k *kit) {
	parent := key("p")
	k.child(parent, "a", success)
	before := k.get(k.a, below(parent, "a"))
	k.phase(parent, ledger.PhaseNone)
	k.listed(ledger.Filter{}, "p/a")
	k.ok(k.b.Forget(k.ctx, parent), "Forget")
	k.forgottenBelow(below(parent, "a"), before)
	k.is(k.b.Forget(k.ctx, parent), ledger.ErrNotFound, "second Forget")
}

func listFamilies(k *kit) {
	parent := key("p")
	k.run(k.a, key("p/alone"), success)
	k.run(k.a, parent, success)
	k.child(parent, "a", success)
	k.child(parent, "b", failure)
	k.child(below(parent, "b"), "deep", success)
	k.run(k.a, key("q"), success)
	k.listed(ledger.Filter{Under: parent}, "p/b", "p/a")
	k.listed(ledger.Filter{Under: below(parent, "b")}, "p/b/deep")
	k.listed(ledger.Filter{Under: key("q")})
	k.listed(ledger.Filter{Under: key("nowhere")})
	k.listed(ledger.Filter{Under: ledger.ID{Namespace: "prod", Key: "p"}})
	k.listed(ledger.Filter{TopLevel: true}, "q", "p", "p/alone")
	k.listed(ledger.Filter{TopLevel: true, Limit: 2}, "q", "p")
	k.listed(ledger.Filter{Under: parent, Phases: ledger.Phases{ledger.PhaseFailed}}, "p/b")
	k.listed(ledger.Filter{Under: parent, Phases: ledger.Phases{ledger.PhaseSucceeded}}, "p/a")
	k.listed(ledger.Filter{Under: parent, Limit: 1}, "p/b")
	k.listed(ledger.Filter{Under: parent, Globs: ledger.Globs{"*a"}}, "p/a")
	k.listed(ledger.Filter{Under: parent, Key: "p/a"}, "p/a")
	k.listed(ledger.Filter{}, "q", "p/b/deep", "p/b", "p/a", "p", "p/alone")
	k.listed(ledger.Filter{Limit: 2}, "q", "p/b/deep")
	k.runWith(k.a, below(parent, "b"), renewed(), failure)
	k.listed(ledger.Filter{Limit: 3}, "p/b", "q", "p/a") // the limit counts the listed ones
	k.listed(ledger.Filter{Under: below(parent, "b")})
}

// batchMark: a mark with state Batch is a record without attempts.
func batchMark(k *kit) {
	parent := key("p")
	for _, id := range []ledger.ID{parent, below(parent, "inner")} {
		m := newMark(k.get(k.a, id), ledger.Batch)
		if id != parent {
			m.Origin.Parent = parent
		}
		k.ok(k.refuseMark(k.a, id, m), "Mark")
		k.phase(id, ledger.PhaseBatch)
		k.same(k.get(k.b, id).Current.Inputs, m.Inputs, "template")
		k.same(k.get(k.b, id).Attempts, 0, "attempts")
	}
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseBatch}}, "p/inner", "p")
	k.listed(ledger.Filter{Under: parent}, "p/inner")
	k.child(parent, "a", success)
	k.mark(k.a, parent, ledger.Batch) // another template
	k.phase(below(parent, "a"), ledger.PhaseSucceeded)
}

func successesOf(k *kit) {
	parent := key("p")
	has := func(name, fingerprint string) bool {
		k.Helper()
		s, err := k.b.(ledger.Surveying).Successes(k.ctx, parent)
		k.ok(err, "Successes")
		return s.Has(below(parent, name), fingerprint)
	}
	k.same(has("a", "h1:c0ffee"), false, "success before the first attempt")
	for i := range 40 {
		k.child(parent, fmt.Sprint(i), success)
	}
	k.child(parent, "failed", failure)
	k.run(k.a, below(parent, "alone"), success)
	k.child(below(parent, "0"), "deep", success)
	m := newMark(k.get(k.a, below(parent, "marked")), ledger.Succeeded)
	m.Origin.Parent = parent
	k.ok(k.refuseMark(k.a, below(parent, "marked"), m), "Mark")
	for i := range 40 {
		k.same(has(fmt.Sprint(i), "h1:c0ffee"), true, "success "+fmt.Sprint(i))
	}
	k.same(has("marked", m.Fingerprint), true, "success by a mark")
	for _, no := range [][2]string{
		{"0", "h1:beef"}, {"0", ""}, {"failed", "h1:c0ffee"}, {"alone", "h1:c0ffee"}, {"0/deep", "h1:c0ffee"}, {"none", "h1:c0ffee"},
	} {
		k.same(has(no[0], no[1]), false, "success "+no[0]+" "+no[1])
	}
	k.ok(k.a.Forget(k.ctx, below(parent, "1")), "Forget")
	k.same(has("1", "h1:c0ffee"), false, "forgotten success")
	k.mark(k.a, below(parent, "2"), ledger.None)
	k.same(has("2", "h1:c0ffee"), false, "success that was marked for retry")
	k.child(parent, "3", failure)
	k.same(has("3", "h1:c0ffee"), false, "success before a failure")
	c := k.claim(k.a, below(parent, "4"))
	x := k.beginWith(c, childOf(parent))
	k.same(has("4", "h1:c0ffee"), false, "success while it runs again")
	k.finish(x, success)
	k.release(c)
	k.same(has("4", "h1:c0ffee"), true, "second success")
	k.runWith(k.a, parent, renewed(), success)
	k.same(has("4", "h1:c0ffee"), false, "success of an earlier series")
	k.child(parent, "4", success)
	k.same(has("4", "h1:c0ffee"), true, "success of the new series")
}

func talliesOf(k *kit) {
	parent, other := key("p"), key("q")
	inner := below(parent, "inner")
	tallies := func(want map[ledger.ID]ledger.Tally, parents ...ledger.ID) {
		k.Helper()
		for _, l := range []ledger.Ledger{k.a, k.b} {
			got, err := l.(ledger.Surveying).Tallies(k.ctx, parents...)
			k.ok(err, "Tallies")
			k.same(got, want, "tallies")
		}
	}
	tallies(nil)
	for name, o := range map[string]ledger.Outcome{"a": success, "b": success, "c": failure, "gone": success, "again": failure} {
		k.child(parent, name, o)
	}
	k.child(other, "a", success)
	k.mark(k.a, below(parent, "again"), ledger.None)
	k.ok(k.a.Forget(k.ctx, below(parent, "gone")), "Forget")
	m := newMark(k.get(k.a, inner), ledger.Batch)
	m.Origin.Parent = parent
	k.ok(k.refuseMark(k.a, inner, m), "Mark")
	k.child(inner, "x", success)
	k.runWith(k.a, below(parent, "c"), childOf(parent), failure)
	c, d := k.claim(k.a, below(parent, "held")), k.claim(k.a, below(parent, "stuck"))
	x := k.beginWith(c, childOf(parent))
	k.beginWith(d, childOf(parent))
	k.release(d)
	family := ledger.Tally{ledger.PhaseSucceeded: 2, ledger.PhaseFailed: 1, ledger.PhaseRetry: 1, ledger.PhaseBatch: 1, ledger.PhaseRunning: 1, ledger.PhaseInterrupted: 1}
	one := ledger.Tally{ledger.PhaseSucceeded: 1}
	tallies(map[ledger.ID]ledger.Tally{parent: family, other: one, inner: one})
	tallies(map[ledger.ID]ledger.Tally{parent: family}, parent, key("nowhere"))
	k.finish(x, success)
	k.release(c)
	k.ok(k.a.Forget(k.ctx, parent), "Forget")
	tallies(map[ledger.ID]ledger.Tally{other: one})
}
