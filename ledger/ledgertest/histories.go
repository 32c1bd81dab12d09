package ledgertest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"idem/ledger"
)

var historiesCases = []testCase{
	{"Histories", histories, offers[ledger.Histories]},
	{"HistoriesOfFamilies", historiesOfFamilies, offers[ledger.Histories]},
	{"HistoriesOfManyAttempts", historiesOfManyAttempts, offers[ledger.Histories]},
	{"HistoriesWhileCallsRun", historiesWhileCallsRun, offers[ledger.Histories]},
	{"Keys", keysOf, offers[ledger.Histories]},
}

// entries returns the result of Histories by record. It checks each record against Get and
// Attempts.
func (k *kit) entries(l ledger.Ledger, namespace string) map[ledger.ID][]ledger.Entry {
	k.Helper()
	all := map[ledger.ID][]ledger.Entry{}
	last := ledger.ID{}
	for e, err := range l.(ledger.Histories).Histories(k.ctx, namespace) {
		k.ok(err, "Histories")
		if e.ID != last && all[e.ID] != nil {
			k.Fatalf("the attempts of key %q do not follow each other", e.ID.Key)
		}
		last = e.ID
		all[e.ID] = append(all[e.ID], e)
	}
	for id, entries := range all {
		rec, attempts := k.get(l, id), k.attempts(l, id)
		rec.Current.Inputs = nil
		rec.Alive = rec.Alive && rec.Current.State == ledger.Running
		var got []ledger.Attempt
		for i, e := range entries {
			got = append(got, e.Attempt)
			attempts[i].Inputs = nil
			if is := e.Record != nil; is != (i == len(entries)-1) {
				k.Fatalf("key %q: entry %d has a record: %v", id.Key, i, is)
			}
		}
		k.same(got, attempts, "attempts of "+id.Key)
		k.same(k.withoutLease(*entries[len(entries)-1].Record), rec, "record of "+id.Key)
	}
	return all
}

// histories: each record with a history has its attempts, whatever state it is in.
func histories(k *kit) {
	k.same(len(k.entries(k.a, "")), 0, "records of an empty ledger")
	elsewhere := ledger.ID{Namespace: "prod", Key: "k", Window: "w"}
	k.run(k.a, elsewhere, success)
	k.run(k.a, key("k"), success)
	k.run(k.a, key("retried"), failure)
	k.run(k.a, key("retried"), success)
	k.interrupt(k.a, key("lost"))
	k.run(k.a, key("lost"), failure)
	k.interrupt(k.a, key("stuck"))
	k.run(k.a, key("again"), failure)
	k.mark(k.a, key("again"), ledger.None)
	k.run(k.a, key("gone"), success)
	k.ok(k.a.Forget(k.ctx, key("gone")), "Forget")
	k.get(k.a, key("never"))
	c := k.claim(k.a, key("busy"))
	x := k.begin(c)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		all := k.entries(l, "")
		k.same(len(all), 7, "records")
		k.same(all[key("busy")][0].Record.Phase(), ledger.PhaseRunning, "phase of a running one")
		k.same(all[key("stuck")][0].Record.Phase(), ledger.PhaseInterrupted, "phase of an interrupted one")
		k.same(all[key("again")][1].Record.Phase(), ledger.PhaseRetry, "phase of a marked one")
		k.same(len(k.entries(l, "prod")), 1, "records of a namespace")
		k.same(len(k.entries(l, "PROD")), 0, "records of an unused namespace")
		k.same(all[elsewhere][0].Top, elsewhere, "Top")
	}
	k.finish(x, success)
	k.release(c)
	k.entries(k.b, "")
}

// historiesOfFamilies: an entry says which record is the highest above it, and whether it is
// a part of an attempt there.
func historiesOfFamilies(k *kit) {
	run, batch := key("run"), key("batch")
	k.run(k.a, run, success)
	k.child(run, "step", failure)
	k.child(below(run, "step"), "deep", success)
	m := newMark(k.get(k.a, batch), ledger.Batch)
	k.ok(k.refuseMark(k.a, batch, m), "Mark")
	k.child(batch, "item", success)
	k.child(below(batch, "item"), "step", success)
	k.child(key("bare"), "item", success)
	k.child(key("renewed"), "old", success)
	k.runWith(k.a, key("renewed"), renewed(), success)
	for _, l := range []ledger.Ledger{k.a, k.b} {
		all := k.entries(l, "")
		for _, want := range []struct {
			id, top ledger.ID
			inner   bool
		}{
			{run, run, false},
			{below(run, "step"), run, true},
			{below(below(run, "step"), "deep"), run, true},
			{batch, batch, false},
			{below(batch, "item"), batch, false},
			{below(below(batch, "item"), "step"), batch, true},
			{below(key("bare"), "item"), key("bare"), false},
			{key("renewed"), key("renewed"), false},
		} {
			e := all[want.id][0]
			k.same([]any{e.Top, e.Inner}, []any{want.top, want.inner}, "place of "+want.id.Key)
			delete(all, want.id)
		}
		k.same(len(all), 0, "further records")
	}
}

// historiesOfManyAttempts: neither a record with many attempts nor many records are cut.
func historiesOfManyAttempts(k *kit) {
	const many = 30
	for i := range many {
		k.run(k.a, key(fmt.Sprint(i)), success)
	}
	for range many {
		k.run(k.a, key("k"), failure)
	}
	all := k.entries(k.b, "")
	k.same(len(all), many+1, "records")
	k.same(len(all[key("k")]), many, "attempts")
	n := 0
	for _, err := range k.b.(ledger.Histories).Histories(k.ctx, "") { // the rest is not read
		k.ok(err, "Histories")
		if n++; n == 3 {
			break
		}
	}
}

// historiesWhileCallsRun: the ledger can be used while an entry is handled.
func historiesWhileCallsRun(k *kit) {
	for i := range 10 {
		k.run(k.a, key(fmt.Sprint(i)), success)
	}
	seen := map[ledger.ID]int{}
	for e, err := range k.a.(ledger.Histories).Histories(k.ctx, "") {
		k.ok(err, "Histories")
		seen[e.ID]++
		k.phase(e.ID, ledger.PhaseSucceeded)
		k.run(k.a, e.ID, success)
	}
	k.same(len(seen), 10, "records")
}

// keysOf: Keys yields the records on the top level.
func keysOf(k *kit) {
	windowed := ledger.ID{Namespace: "prod", Key: "k", Window: "w"}
	k.run(k.a, windowed, success)
	k.run(k.a, key("k"), failure)
	k.child(key("k"), "step", success)
	k.child(key("bare"), "item", success)
	k.run(k.a, key("gone"), success)
	k.ok(k.a.Forget(k.ctx, key("gone")), "Forget")
	for _, l := range []ledger.Ledger{k.a, k.b} {
		for namespace, want := range map[string][]ledger.ID{
			"": {windowed, key("k"), key("bare")}, "prod": {windowed}, "PROD": nil,
		} {
			got, wanted := map[ledger.ID]bool{}, map[ledger.ID]bool{}
			for id, err := range l.(ledger.Histories).Keys(k.ctx, namespace) {
				k.ok(err, "Keys")
				got[id] = true
			}
			for _, id := range want {
				wanted[id] = true
			}
			k.same(got, wanted, "keys of namespace "+namespace)
		}
	}
}

func (m *model) compareHistories(t *rapid.T) {
	if !offers[ledger.Histories](m.h) {
		return
	}
	h := m.handles[1]
	entries := func(l ledger.Ledger) (all []string, err error) {
		for e, failed := range l.(ledger.Histories).Histories(m.ctx, "") {
			text := fmt.Sprintf("%+v %+v %v %s %d %s", e.ID, e.Top, e.Inner, e.Attempt.RunID, e.Attempt.Number, e.Attempt.State)
			if e.Record != nil {
				text += fmt.Sprintf(" %s %d", e.Record.Phase(), e.Record.Attempts)
			}
			all, err = append(all, text), failed
		}
		slices.Sort(all)
		return all, err
	}
	r, err := entries(h.real)
	w, errMem := entries(h.mem)
	agree(t, "Histories", err, errMem)
	equal(t, "entries", r, w)
}
