package ledgertest

import (
	"idem/ledger"
)

var familyCases = []testCase{
	{"ChildIsRecorded", childIsRecorded, nil},
	{"ChildKeepsItsParent", childKeepsItsParent, nil},
	{"KeyBecomesAChild", keyBecomesAChild, nil},
	{"HistoryIsAdopted", historyIsAdopted, nil},
	{"OriginMustBeAbove", originMustBeAbove, nil},
	{"NewSeriesForgetsBelow", newSeriesForgetsBelow, nil},
	{"ForgottenChildCanBeMarked", forgottenChildCanBeMarked, nil},
	{"NumbersNeverReturn", numbersNeverReturn, nil},
	{"ClaimIsOlderThanItsFamily", claimIsOlderThanItsFamily, nil},
	{"NewSeriesIsBusyWhileAChildRuns", newSeriesIsBusyWhileAChildRuns, nil},
	{"NewSeriesIsBusyWhileAnItemRuns", newSeriesIsBusyWhileAnItemRuns, nil},
	{"InterruptedChildIsForgotten", interruptedChildIsForgotten, needsCrash},
}

// below returns the ID of a child.
func below(parent ledger.ID, name string) ledger.ID {
	parent.Key += "/" + name
	return parent
}

// start returns a Start of a child, and Starts with other settings.
func childOf(parent ledger.ID) ledger.Start {
	s := newStart()
	s.Origin = ledger.Origin{Parent: parent, RunID: newRunID()}
	return s
}

// runWith is run with a Start.
func (k *kit) runWith(l ledger.Ledger, id ledger.ID, s ledger.Start, o ledger.Outcome) ledger.Attempt {
	k.Helper()
	c := k.claim(l, id)
	a := k.finish(k.beginWith(c, s), o)
	k.release(c)
	return a
}

func (k *kit) child(parent ledger.ID, name string, o ledger.Outcome) ledger.Attempt {
	k.Helper()
	return k.runWith(k.a, below(parent, name), childOf(parent), o)
}

func childIsRecorded(k *kit) {
	parent := ledger.ID{Namespace: "prod", Key: "p", Window: "w"}
	c := k.claim(k.a, parent)
	x := k.begin(c)
	id := below(parent, "two/parts")
	s := childOf(parent)
	a := k.runWith(k.b, id, s, success)
	k.same(a.ParentRun, s.Origin.RunID, "ParentRun")
	for _, l := range []ledger.Ledger{k.a, k.b} {
		r := k.get(l, id)
		k.same(r.Parent, parent, "Parent")
		k.same(r.Current, a, "current attempt of a child")
		k.same(k.attempts(l, id), []ledger.Attempt{a}, "history of a child")
		k.same(k.list(l, ledger.Filter{Under: parent})[0].Parent, parent, "listed Parent")
	}
	k.finish(x, success)
	k.release(c)
	k.same(k.get(k.b, parent).Current.Number, 1, "number of the parent's attempt")
	m := newMark(k.get(k.a, below(parent, "m")), ledger.Succeeded)
	m.Origin = ledger.Origin{Parent: parent, RunID: "r"}
	got, err := settle(k.ctx, k.a, below(parent, "m"), m)
	k.ok(err, "Mark")
	k.same(got.ParentRun, "r", "ParentRun of a mark")
	k.same(k.get(k.b, below(parent, "m")).Parent, parent, "Parent by a mark")
}

// childKeepsItsParent: the zero Origin keeps the recorded parent.
func childKeepsItsParent(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	k.child(parent, "a", failure)
	k.run(k.a, id, failure)
	k.same(k.get(k.b, id).Parent, parent, "Parent after an attempt without Origin")
	k.mark(k.a, id, ledger.Succeeded)
	k.same(k.get(k.b, id).Parent, parent, "Parent after a mark without Origin")
	k.same(len(k.attempts(k.b, id)), 3, "entries of the history")
}

// keyBecomesAChild: a record without a parent keeps its history.
func keyBecomesAChild(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	k.run(k.a, id, success)
	k.listed(ledger.Filter{Under: parent})
	k.runWith(k.a, parent, renewed(), success) // it is not below the parent yet
	k.same(k.child(parent, "a", success).Number, 2, "number of the first attempt as a child")
	k.listed(ledger.Filter{Under: parent}, id.Key)
	k.runWith(k.a, parent, renewed(), success)
	k.listed(ledger.Filter{Under: parent})
}

func originMustBeAbove(k *kit) {
	for _, parent := range []ledger.ID{
		key("q"), key("p/a"), key("p/"), {Namespace: "prod", Key: "p"}, {Namespace: "default", Key: "p", Window: "w"},
	} {
		c := k.claim(k.a, key("p/a"))
		if _, err := c.Begin(k.ctx, childOf(parent)); err == nil {
			k.Errorf("Begin below %+v: no error", parent)
		}
		k.release(c)
	}
	k.phase(key("p/a"), ledger.PhaseNone)
}

// historyIsAdopted: a record that is older than its parent becomes a child with all it has.
func historyIsAdopted(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	adopt := func() {
		k.Helper()
		c := k.claim(k.a, id)
		for range 2 {
			if err := c.Adopt(k.ctx, ledger.Origin{Parent: parent}); err != nil {
				k.Errorf("Adopt: %v", err)
			}
		}
		k.release(c)
	}
	adopt() // nothing
	k.phase(id, ledger.PhaseNone)
	k.listed(ledger.Filter{Under: parent})
	before := k.run(k.a, id, success)
	k.run(k.a, parent, success)
	adopt()
	k.listed(ledger.Filter{Under: parent}, id.Key)
	rec := k.get(k.b, id)
	k.same(rec.Parent, parent, "parent")
	k.same(rec.Current.RunID, before.RunID, "run")
	k.runWith(k.a, parent, renewed(), success)
	k.forgottenBelow(id, rec)
}
