package ledgertest

import (
	"context"
	"fmt"

	"idem/ledger"
)

// claimIsOlderThanItsFamily: between Claim and Begin of a key without a record, other calls
// change the records above and below it. Begin sees all of that.
func claimIsOlderThanItsFamily(k *kit) {
	for i, change := range []func(parent, id ledger.ID){
		func(parent, _ ledger.ID) { k.ok(k.b.Forget(k.ctx, parent), "Forget") },
		func(parent, _ ledger.ID) { k.runWith(k.b, parent, renewed(), success) },
		func(_, id ledger.ID) { k.runWith(k.b, below(id, "x"), childOf(id), success) },
		func(parent, id ledger.ID) {
			k.runWith(k.b, below(id, "x"), childOf(id), success)
			k.ok(k.b.Forget(k.ctx, parent), "Forget")
		},
		func(parent, id ledger.ID) {
			for range 3 {
				k.runWith(k.b, below(id, "x"), childOf(id), success)
				k.runWith(k.b, below(parent, "other"), childOf(parent), success)
				k.ok(k.b.Forget(k.ctx, parent), "Forget")
			}
		},
	} {
		for _, known := range []bool{false, true} {
			parent := key(fmt.Sprint("p", i, known))
			id := below(parent, "c")
			k.run(k.a, parent, success)
			if known {
				k.child(parent, "first", success)
			}
			k.phase(below(parent, "none"), ledger.PhaseNone)
			c := k.claim(k.a, id)
			_, err := c.Record(k.ctx)
			k.ok(err, "Record")
			change(parent, id)
			before := k.get(k.b, id)
			e := k.beginWith(c, childOf(parent))
			k.same(e.Attempt().Number, 1, "number of the attempt")
			k.same(e.Generation(), before.Generation, "generation")
			if e.Fence() <= before.Fence {
				k.Errorf("fence %d after %d", e.Fence(), before.Fence)
			}
			k.finish(e, success)
			k.release(c)
			now := k.get(k.b, id)
			k.same(now.Phase(), ledger.PhaseSucceeded, "phase")
			k.same(now.Parent, parent, "parent")
			k.ok(k.a.Forget(k.ctx, parent), "Forget")
			k.forgottenBelow(id, now)
		}
	}
	// The record of a key appears in the group in which the key begins.
	for i := range 2 * crowd {
		parent := key(fmt.Sprint("group", i))
		id := below(parent, "c")
		k.run(k.a, parent, success)
		c, x := k.claim(k.a, id), k.claim(k.a, below(id, "x"))
		begin := func(c ledger.Claim, parent ledger.ID) func(ctx context.Context) {
			return func(ctx context.Context) {
				e, err := c.Begin(ctx, childOf(parent))
				if err == nil {
					_, err = e.Finish(ctx, success)
				}
				if err != nil {
					k.Errorf("Begin and Finish: %v", err)
				}
			}
		}
		ledger.Together(k.ctx, k.a, begin(c, parent), begin(x, id))
		k.release(c)
		k.release(x)
		for _, id := range []ledger.ID{id, below(id, "x")} {
			k.phase(id, ledger.PhaseSucceeded)
			k.same(k.get(k.b, id).Attempts, 1, "attempts")
		}
	}
}

func renewed() ledger.Start {
	s := newStart()
	s.Renew = true
	return s
}

// forgottenBelow checks that a record is forgotten, and that its numbers are new.
func (k *kit) forgottenBelow(id ledger.ID, before ledger.Record) ledger.Record {
	k.Helper()
	k.phase(id, ledger.PhaseNone)
	var now ledger.Record
	for _, l := range []ledger.Ledger{k.a, k.b} {
		now = k.get(l, id)
		if now.Generation < before.Generation || now.Fence < before.Fence ||
			now.Generation == before.Generation && before.Current.RunID != "" {
			k.Errorf("%s: generation %d and fence %d after %d and %d", id.Key, now.Generation, now.Fence, before.Generation, before.Fence)
		}
		k.same(now.Current, ledger.Attempt{}, "current attempt of a forgotten child")
		k.same(now.Attempts, 0, "attempts of a forgotten child")
		k.same(now.Parent, ledger.ID{}, "parent of a forgotten child")
		k.same(len(k.attempts(l, id)), 0, "history of a forgotten child")
		if before.Current.RunID != "" {
			_, err := l.Output(k.ctx, id, before.Current.RunID)
			k.is(err, ledger.ErrNotFound, "Output of a forgotten child")
			_, err = l.Files(k.ctx, id, before.Current.RunID)
			k.is(err, ledger.ErrNotFound, "Files of a forgotten child")
		}
		for _, r := range k.list(l, ledger.Filter{}) {
			if r.ID == id {
				k.Errorf("a forgotten child is listed: %+v", r)
			}
		}
		k.same(len(k.list(l, ledger.Filter{Key: id.Key})), 0, "a forgotten child listed by its key")
	}
	c := k.claim(k.b, id)
	r, err := c.Record(k.ctx)
	k.ok(err, "Record")
	k.release(c)
	k.same(r, now, "record of a forgotten child under the claim")
	return now
}

// renewals are the ways to begin a new series of a record that is not held.
var renewals = map[string]func(k *kit, id ledger.ID) error{
	"Forget": func(k *kit, id ledger.ID) error { return k.a.Forget(k.ctx, id) },
	"Begin": func(k *kit, id ledger.ID) error {
		c := k.claim(k.a, id)
		defer k.release(c)
		x, err := c.Begin(k.ctx, renewed())
		if err == nil {
			k.finish(x, success)
		}
		return err
	},
	"Mark": func(k *kit, id ledger.ID) error {
		m := newMark(k.get(k.a, id), ledger.Succeeded)
		m.Renew = true
		return k.refuseMark(k.a, id, m)
	},
}

// newSeriesForgetsBelow: children, and the records below them, are forgotten at once. Other
// records are not.
func newSeriesForgetsBelow(k *kit) {
	for name, renew := range renewals {
		parent, other := key("p:"+name), key("p:"+name+"x")
		k.run(k.a, parent, success)
		k.child(other, "a", success)
		k.run(k.a, below(parent, "alone"), success)
		step := below(parent, "a")
		want := map[ledger.ID]ledger.Record{}
		k.child(parent, "a", success)
		k.child(parent, "b", failure)
		k.child(step, "deep", success)
		k.child(below(step, "deep"), "deeper", success)
		large := k.recordWith(below(parent, "large"), childOf(parent), pieces(100<<10))
		for _, id := range []ledger.ID{step, below(parent, "b"), below(step, "deep"), below(below(step, "deep"), "deeper"), large} {
			want[id] = k.get(k.a, id)
		}
		for range 2 {
			k.ok(renew(k, parent), name)
			for id, before := range want {
				want[id] = k.forgottenBelow(id, before)
			}
			k.listed(ledger.Filter{Under: parent})
			k.listed(ledger.Filter{Under: step})
			k.phase(below(parent, "alone"), ledger.PhaseSucceeded)
			k.phase(below(other, "a"), ledger.PhaseSucceeded)

			// The step comes back, but what was below it does not.
			a := k.child(parent, "a", success)
			k.same(a.Number, 1, "number in the new series")
			k.same(k.attempts(k.b, step), []ledger.Attempt{a}, "history in the new series")
			k.listed(ledger.Filter{Under: parent}, step.Key)
			k.listed(ledger.Filter{Under: step})
			k.child(step, "deep", success)
			for _, id := range []ledger.ID{step, below(step, "deep")} {
				if r := k.get(k.b, id); r.Generation < want[id].Generation || r.Fence <= want[id].Fence {
					k.Errorf("%s by %s: %+v after %+v", id.Key, name, r, want[id])
				}
				want[id] = k.get(k.a, id)
			}
			k.run(k.a, parent, success)
		}
	}
}

// recordWith is an attempt with an output.
func (k *kit) recordWith(id ledger.ID, s ledger.Start, out []ledger.Chunk) ledger.ID {
	k.Helper()
	c := k.claim(k.a, id)
	x := k.beginWith(c, s)
	write(x, out)
	k.finish(x, success)
	k.release(c)
	return id
}

// forgottenChildCanBeMarked: a mark, as an attempt, drops the earlier history.
func forgottenChildCanBeMarked(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	k.child(parent, "a", failure)
	k.child(parent, "a", success)
	k.runWith(k.a, parent, renewed(), success)
	before := k.get(k.a, id)
	k.mark(k.a, id, ledger.Succeeded)
	k.same(len(k.attempts(k.b, id)), 1, "entries of the history")
	k.same(k.get(k.b, id).Generation, before.Generation, "generation")
	k.same(k.get(k.b, id).Parent, ledger.ID{}, "parent of a record that was made without one")
	k.is(k.b.Forget(k.ctx, below(parent, "b")), ledger.ErrNotFound, "Forget of a child that never was")
}

// numbersNeverReturn: each series of a parent, and of a grandparent, gives a child greater
// numbers.
func numbersNeverReturn(k *kit) {
	top := key("t")
	mid := below(top, "m")
	id, plain := below(mid, "a"), below(mid, "plain")
	seen := map[ledger.ID]ledger.Record{}
	check := func(doing string) {
		k.Helper()
		for _, id := range []ledger.ID{id, plain} {
			r := k.get(k.b, id)
			if last := seen[id]; r.Generation < last.Generation || r.Fence < last.Fence {
				k.Fatalf("%s after %s: got %+v after %+v", id.Key, doing, r, last)
			}
			seen[id] = r
		}
	}
	run := func(id ledger.ID, s ledger.Start) {
		k.Helper()
		before := k.get(k.a, id)
		k.runWith(k.a, id, s, success)
		after := k.get(k.a, id)
		if after.Fence <= before.Fence || after.Generation != before.Generation {
			k.Fatalf("%s: began %+v after %+v", id.Key, after, before)
		}
		check("Begin of " + id.Key)
	}
	for range 3 {
		run(mid, childOf(top))
		run(id, childOf(mid))
		run(id, childOf(mid))
		k.ok(k.a.Forget(k.ctx, id), "Forget")
		check("Forget of the child")
		run(id, childOf(mid))
		used := seen[id]
		k.ok(k.a.Forget(k.ctx, mid), "Forget")
		check("Forget of the parent")
		if seen[id].Generation <= used.Generation {
			k.Fatalf("generation %d after %d", seen[id].Generation, used.Generation)
		}
		run(id, childOf(mid))
		used = seen[id]
		run(mid, childOf(top))
		k.ok(k.a.Forget(k.ctx, top), "Forget")
		check("Forget of the grandparent")
		if seen[id].Generation <= used.Generation {
			k.Fatalf("generation %d after %d", seen[id].Generation, used.Generation)
		}
		run(id, newStart())
		k.ok(k.a.Forget(k.ctx, id), "Forget")
	}
}

// newSeriesIsBusyWhileAChildRuns: while a child is held, all ways to a new series fail and
// change nothing.
func newSeriesIsBusyWhileAChildRuns(k *kit) {
	parent := key("p")
	id := below(parent, "a")
	k.run(k.a, parent, success)
	k.child(parent, "done", success)
	c := k.claim(k.b, id)
	x := k.beginWith(c, childOf(parent))
	before := k.get(k.a, parent)
	for name, renew := range renewals {
		busy := k.busy(renew(k, parent), id, name)
		k.same(busy.Record.Current.RunID, x.Attempt().RunID, "run of the *BusyError")
		k.same(busy.Record.Phase(), ledger.PhaseRunning, "phase of the *BusyError")
		k.same(k.get(k.a, parent), before, "record after a refused "+name)
		k.phase(below(parent, "done"), ledger.PhaseSucceeded)
		k.claimFree(parent)
	}
	k.finish(x, success)
	k.release(c)
	for name, renew := range renewals {
		k.ok(renew(k, parent), name)
	}
}

// newSeriesIsBusyWhileAnItemRuns: a batch below the record is looked into.
func newSeriesIsBusyWhileAnItemRuns(k *kit) {
	parent := key("p")
	batch := below(parent, "b")
	k.run(k.a, parent, success)
	m := newMark(k.get(k.a, batch), ledger.Batch)
	m.Origin.Parent = parent
	k.ok(k.refuseMark(k.a, batch, m), "Mark")
	id := below(batch, "item")
	c := k.claim(k.b, id)
	x := k.beginWith(c, childOf(batch))
	for name, renew := range renewals {
		k.busy(renew(k, parent), id, name)
	}
	k.finish(x, success)
	k.release(c)
	k.ok(k.a.Forget(k.ctx, parent), "Forget")
	k.phase(id, ledger.PhaseNone)
	k.phase(batch, ledger.PhaseNone)
}

// interruptedChildIsForgotten: after a crash, a child does not prevent a new series.
func interruptedChildIsForgotten(k *kit) {
	parent := key("p")
	k.beginWith(k.claim(k.a, below(parent, "a")), childOf(parent))
	k.busy(k.b.Forget(k.ctx, parent), below(parent, "a"), "Forget")
	k.crash()
	before := k.get(k.b, below(parent, "a"))
	k.same(before.Phase(), ledger.PhaseInterrupted, "phase after a crash")
	k.ok(k.b.Forget(k.ctx, parent), "Forget")
	k.forgottenBelow(below(parent, "a"), before)
	k.same(k.child(parent, "a", success).Number, 1, "number in the new series")
}
