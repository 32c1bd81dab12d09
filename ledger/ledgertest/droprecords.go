package ledgertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"idem/ledger"
)

// old returns the old records that handle b finds, by key.
func (k *kit) old(before time.Time) map[string]ledger.OldRecord {
	k.Helper()
	all := map[string]ledger.OldRecord{}
	for o, err := range collecting(k, k.b).OldRecords(k.ctx, before) {
		k.ok(err, "OldRecords")
		all[o.Record.ID.Key] = o
	}
	return all
}

// drop drops records with handle a, and returns the keys that were dropped.
func (k *kit) drop(records ...ledger.OldRecord) (keys []string) {
	k.Helper()
	dropped, err := collecting(k, k.a).DropRecords(k.ctx, records)
	k.ok(err, "DropRecords")
	for _, o := range dropped {
		keys = append(keys, o.Record.ID.Key)
	}
	return keys
}

func namesOf(records map[string]ledger.OldRecord) []string { return slices.Sorted(maps.Keys(records)) }

// far is later than everything that a case does.
func far() time.Time { return time.Now().Add(time.Hour) }

func oldRecords(k *kit) {
	k.same(namesOf(k.old(far())), []string(nil), "records of an empty ledger")
	k.run(k.a, key("done"), success)
	k.run(k.a, key("failed"), failure)
	k.mark(k.a, key("retry"), ledger.None)
	k.interrupt(k.a, key("dead"))
	k.run(k.a, key("forgotten"), success)
	k.ok(k.a.Forget(k.ctx, key("forgotten")), "Forget")
	k.child(key("p"), "a", success)
	k.child(below(key("p"), "a"), "deep", failure)
	k.child(key("p"), "b", failure)
	k.mark(k.a, key("p"), ledger.Batch)
	c := k.claim(k.a, key("alive"))
	k.begin(c)

	all := k.old(far())
	k.same(namesOf(all), []string{"done", "failed", "p", "retry"}, "old records")
	k.same(namesOf(k.old(time.Now().Add(-time.Hour))), []string(nil), "records before all began")
	done := k.get(k.a, key("done"))
	done.Current.Inputs = nil
	k.same(all["done"].Record, done, "record")
	k.same(all["done"].Below, ledger.Below{}, "below a record without steps")
	newest := ledger.EndOf(k.get(k.a, below(key("p"), "b")).Current)
	k.same(all["p"].Below, ledger.Below{Records: 3, Newest: newest}, "below a parent")
	k.release(c)

	s := childOf(key("p"))
	c = k.claim(k.a, below(key("p"), "b"))
	k.beginWith(c, s)
	k.same(k.old(far())["p"].Below.Running, true, "a record below runs")
	k.release(c)
	k.same(k.old(far())["p"].Below.Running, true, "a record below is interrupted")
}

// dropRecords: what is left is what Forget leaves.
func dropRecords(k *kit) {
	var names []string
	before := map[string]ledger.Record{}
	for i := range 150 {
		name := fmt.Sprint("k", i)
		names = append(names, name)
		k.run(k.a, key(name), success)
		before[name] = k.get(k.a, key(name))
	}
	slices.Sort(names)
	old := k.old(far())
	var some []ledger.OldRecord
	for _, name := range names {
		some = append(some, old[name])
	}
	k.same(k.drop(some...), names, "dropped")
	k.same(len(k.drop(some...)), 0, "dropped again")
	k.same(len(k.old(far())), 0, "records that are left")
	for _, name := range names {
		was, now := before[name], k.get(k.b, key(name))
		if now.Phase() != ledger.PhaseNone || now.Generation <= was.Generation || now.Fence < was.Fence {
			k.Errorf("%s: got %+v after %+v", name, now, was)
		}
	}
	k.run(k.a, key("k0"), success)
	if now := k.get(k.b, key("k0")); now.Generation <= before["k0"].Generation || now.Fence <= before["k0"].Fence {
		k.Errorf("run again: got %+v after %+v", now, before["k0"])
	}
}

// dropRecordsThatChanged: a record that is held or has changed stays as it is.
func dropRecordsThatChanged(k *kit) {
	for _, name := range []string{"held", "again", "marked", "forgotten", "same"} {
		k.run(k.a, key(name), success)
	}
	old := k.old(far())
	c := k.claim(k.b, key("held"))
	k.run(k.b, key("again"), success)
	k.mark(k.b, key("marked"), ledger.Failed)
	k.ok(k.b.Forget(k.ctx, key("forgotten")), "Forget")
	k.run(k.b, key("forgotten"), success)
	k.same(k.drop(old["held"], old["again"], old["marked"], old["forgotten"], old["same"]), []string{"same"}, "dropped")
	k.release(c)
	for name, want := range map[string]ledger.Phase{
		"held": ledger.PhaseSucceeded, "again": ledger.PhaseSucceeded, "marked": ledger.PhaseFailed, "forgotten": ledger.PhaseSucceeded, "same": ledger.PhaseNone,
	} {
		k.phase(key(name), want)
	}
}

// dropRecordsWithRecordsBelow: a step that began since keeps its parent.
func dropRecordsWithRecordsBelow(k *kit) {
	deep := below(below(key("p"), "a"), "deep")
	family := func() {
		k.child(key("p"), "a", success)
		k.child(below(key("p"), "a"), "deep", success)
		k.mark(k.a, key("p"), ledger.Batch)
	}
	family()
	old := k.old(far())
	k.runWith(k.b, deep, childOf(below(key("p"), "a")), success)
	k.same(len(k.drop(old["p"])), 0, "dropped after a step")
	old = k.old(far())
	c := k.claim(k.b, deep)
	k.beginWith(c, childOf(below(key("p"), "a")))
	k.same(len(k.drop(old["p"])), 0, "dropped while a step runs")
	k.release(c)
	k.same(len(k.drop(old["p"])), 0, "dropped after an interruption")
	k.phase(deep, ledger.PhaseInterrupted)
	k.run(k.b, deep, success)
	was := k.get(k.b, deep)
	k.same(k.drop(k.old(far())["p"]), []string{"p"}, "dropped")
	k.forgottenBelow(deep, was)
	k.phase(below(key("p"), "a"), ledger.PhaseNone)
	family()
	k.phase(deep, ledger.PhaseSucceeded)
}
