package ledgertest

import (
	"errors"
	"slices"
	"time"

	"idem/ledger"
)

var collectCases = []testCase{
	{"StoredOutputs", storedOutputs, offers[ledger.Collecting]},
	{"RemoveOutputs", removeOutputs, offers[ledger.Collecting]},
	{"RemoveOutputsOfARunningKey", removeOutputsOfARunningKey, offers[ledger.Collecting]},
	{"RemoveOutputsOfSteps", removeOutputsOfSteps, offers[ledger.Collecting]},
	{"RemoveOutputsThatChanged", removeOutputsThatChanged, offers[ledger.Collecting]},
	{"OldRecords", oldRecords, offers[ledger.Collecting]},
	{"DropRecords", dropRecords, offers[ledger.Collecting]},
	{"DropRecordsThatChanged", dropRecordsThatChanged, offers[ledger.Collecting]},
	{"DropRecordsWithRecordsBelow", dropRecordsWithRecordsBelow, offers[ledger.Collecting]},
	{"NoOrphans", noOrphans, offers[ledger.Collecting]},
	{"RemoveOutputOfALostAttempt", removeOutputOfALostAttempt, offers[ledger.Collecting]},
}

func collecting(k *kit, l ledger.Ledger) ledger.Collecting {
	k.Helper()
	c, ok := l.(ledger.Collecting)
	if !ok {
		k.Fatal("the ledger is not Collecting")
	}
	return c
}

// stored returns the outputs that handle b finds, the oldest first.
func (k *kit) stored() (all []ledger.StoredOutput) {
	k.Helper()
	for o, err := range collecting(k, k.b).StoredOutputs(k.ctx) {
		k.ok(err, "StoredOutputs")
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b ledger.StoredOutput) int { return a.At.Compare(b.At) })
	return all
}

// remove removes outputs with handle a, and returns the runs whose outputs were removed.
func (k *kit) remove(outputs []ledger.StoredOutput) (runs []string) {
	k.Helper()
	removed, err := collecting(k, k.a).RemoveOutputs(k.ctx, outputs)
	k.ok(err, "RemoveOutputs")
	for _, o := range removed {
		runs = append(runs, o.RunID)
	}
	return runs
}

func runsOf(outputs []ledger.StoredOutput) (runs []string) {
	for _, o := range outputs {
		runs = append(runs, o.RunID)
	}
	return runs
}

// storedOutputs: each output of a settled attempt is found with what a decision needs.
func storedOutputs(k *kit) {
	k.same(len(k.stored()), 0, "outputs of an empty ledger")
	id, parent := key("k"), key("p")
	k.run(k.a, id, success) // without an output
	first := k.record(id, pieces(10), -1)
	second := k.record(id, pieces(200<<10), -1)
	k.record(key("none"), pieces(10), 0)
	k.interrupt(k.a, key("dead"))
	c := k.claim(k.a, key("alive"))
	write(k.begin(c), pieces(10))
	k.child(parent, "old", success)
	child := k.record(below(parent, "old"), pieces(10), -1)

	got := k.stored()
	k.same(runsOf(got), []string{first.RunID, second.RunID, child.RunID}, "runs")
	for i, want := range []struct {
		id         ledger.ID
		a          ledger.Attempt
		superseded bool
	}{{id, first, true}, {id, second, false}, {below(parent, "old"), child, false}} {
		o := got[i]
		k.same([]any{o.ID, o.Superseded, o.Child, o.Pending, o.State, o.At.Equal(want.a.Ended)}, []any{want.id, want.superseded, i == 2, i == 2, ledger.Succeeded, true}, "an output")
		if o.Bytes < want.a.OutputBytes || o.Bytes > want.a.OutputBytes+8<<10 {
			k.Errorf("an output of %d bytes has %d", want.a.OutputBytes, o.Bytes)
		}
	}
	k.ok(k.a.Forget(k.ctx, parent), "Forget")
	k.same(runsOf(k.stored()), []string{first.RunID, second.RunID}, "runs after Forget")
	k.release(c)
}

// removeOutputs: a removed output is a fact. The rest of the record stays as it was.
func removeOutputs(k *kit) {
	id := key("k")
	small := k.record(id, pieces(10), -1)
	large := k.record(id, pieces(200<<10), -1)
	files := []ledger.File{{Name: "log", Content: []byte("kept")}}
	c := k.claim(k.a, id)
	x := k.begin(c)
	write(x, pieces(20))
	last := k.finish(x, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Files: files})
	k.release(c)
	other := k.open() // a handle may keep the output of the record that it read last
	before := k.get(other, id)
	k.ok(other.Close(), "Close")
	open, err := k.b.Output(k.ctx, id, large.RunID)
	k.ok(err, "Output")

	runs := []string{small.RunID, large.RunID, last.RunID}
	found := k.stored()
	k.same(k.remove(found), runs, "removed")
	k.same(len(k.stored()), 0, "outputs that are left")
	k.same(len(k.remove(found)), 0, "removed again")
	k.ok(open.Close(), "Close")

	fresh := k.open()
	attempts := k.attempts(fresh, id)
	for i, was := range []ledger.Attempt{small, large, last} {
		now := attempts[i]
		if since := time.Since(now.OutputRemoved); since < -time.Minute || since > time.Minute {
			k.Errorf("the output was removed at %v", now.OutputRemoved)
		}
		was.OutputRemoved, was.Truncated = now.OutputRemoved, true
		k.same(now, was, "attempt")
		for _, l := range []ledger.Ledger{k.a, k.b, fresh} {
			out, err := l.Output(k.ctx, id, was.RunID)
			k.ok(err, "Output")
			gaps, err := out.Check()
			k.ok(err, "Check")
			k.same(gaps, ledger.Gaps{Unknown: was.OutputBytes, Removed: now.OutputRemoved}, "gaps")
			k.ok(out.Replay(nil, nil), "Replay")
			k.ok(out.Close(), "Close")
		}
	}
	after := k.get(fresh, id)
	k.same([]any{after.Phase(), after.Generation, after.Fence, after.Attempts}, []any{before.Phase(), before.Generation, before.Fence, before.Attempts}, "record")
	kept, err := fresh.Files(k.ctx, id, last.RunID)
	k.ok(err, "Files")
	k.same(kept, files, "files")
	k.ok(fresh.Close(), "Close")

	next := k.record(id, pieces(10), -1)
	k.exactly(id, next, pieces(10))
	k.same(runsOf(k.stored()), []string{next.RunID}, "outputs")
}

// removeOutputsOfARunningKey: the outputs of a running or interrupted key stay.
func removeOutputsOfARunningKey(k *kit) {
	for _, alive := range []bool{true, false} {
		id := key(map[bool]string{true: "alive", false: "dead"}[alive])
		done := k.record(id, pieces(10), -1)
		found := k.stored()
		c := k.claim(k.a, id)
		x := k.begin(c)
		if !alive {
			k.release(c)
		}
		k.same(len(k.remove(found)), 0, "removed")
		k.exactly(id, done, pieces(10))
		if alive {
			k.finish(x, success)
			k.release(c)
			k.same(k.remove(found), []string{done.RunID}, "removed after the end")
		}
	}
}

// removeOutputsOfSteps: the value of a step stays while a record above it, on any level, has not
// succeeded. An output that a later attempt has replaced is not a value.
func removeOutputsOfSteps(k *kit) {
	top, step := key("p"), below(key("p"), "a")
	deep := below(step, "deep")
	value := func(s ledger.Start, id ledger.ID) ledger.Attempt {
		c := k.claim(k.a, id)
		x := k.beginWith(c, s)
		write(x, pieces(10))
		a := k.finish(x, success)
		k.release(c)
		return a
	}
	held := k.claim(k.a, top)
	k.begin(held)
	k.child(top, "a", success)
	old, last := value(childOf(step), deep), value(childOf(step), deep)
	k.same(k.pendingRuns(), []string{old.RunID, last.RunID}, "outputs below a running key")
	found := k.stored()
	k.same(k.remove(found), []string{old.RunID}, "removed below a running key")
	k.release(held)
	k.same(len(k.remove(found)), 0, "removed below an interrupted key")
	for _, end := range []ledger.Outcome{failure, success} {
		k.run(k.a, top, end)
		k.child(top, "a", failure)
		k.same(k.pendingRuns(), []string{last.RunID}, "outputs below a failure")
		k.same(len(k.remove(found)), 0, "removed below a failure")
	}
	k.child(top, "a", success)
	k.same(len(k.pendingRuns()), 0, "outputs below successes")
	k.exactly(deep, last, pieces(10))
	k.same(k.remove(found), []string{last.RunID}, "removed below successes")
}

// pendingRuns returns the runs whose outputs handle b finds below a record that may go on.
func (k *kit) pendingRuns() (runs []string) {
	k.Helper()
	for _, o := range k.stored() {
		if o.Pending {
			runs = append(runs, o.RunID)
		}
	}
	return runs
}

// removeOutputsThatChanged: an attempt that was forgotten since is not touched, nor is another.
func removeOutputsThatChanged(k *kit) {
	id := key("k")
	k.record(id, pieces(10), -1)
	found := k.stored()
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	next := k.record(id, pieces(10), -1)
	k.same(len(k.remove(found)), 0, "removed")
	wrong := k.stored()
	wrong[0].ID = key("other")
	k.same(len(k.remove(wrong)), 0, "removed from another key")
	k.exactly(id, next, pieces(10))
}

// removeOutputOfALostAttempt: the end of its output is not known.
func removeOutputOfALostAttempt(k *kit) {
	id := key("k")
	runID := k.lose(id, k.begin, 200<<10)
	found := k.stored()
	if len(found) == 0 { // nothing had reached the ledger
		return
	}
	k.same(runsOf(found), []string{runID}, "runs")
	k.same(k.remove(found), []string{runID}, "removed")
	out, err := k.b.Output(k.ctx, id, runID)
	k.ok(err, "Output")
	if _, err := out.Next(); errors.Is(err, ledger.ErrCorrupt) {
		k.Errorf("Next: %v", err)
	}
	k.ok(out.Close(), "Close")
	k.same(k.attempts(k.a, id)[0].OutputRemoved.IsZero(), false, "a lost output without a time")
}

// noOrphans: the outputs of a ledger are named by its records, whatever happened to them.
func noOrphans(k *kit) {
	k.record(key("done"), pieces(200<<10), -1)
	c := k.claim(k.a, key("dead"))
	write(k.begin(c), pieces(200<<10))
	k.release(c)
	c = k.claim(k.a, key("lost"))
	write(k.begin(c), pieces(200<<10))
	k.release(c)
	k.run(k.a, key("lost"), success)
	c = k.claim(k.a, key("alive"))
	write(k.begin(c), pieces(200<<10))
	orphans, unknown, err := collecting(k, k.b).Orphans(k.ctx, far())
	k.ok(err, "Orphans")
	k.same(orphans, []ledger.Orphan(nil), "orphans")
	k.same(unknown, []string(nil), "files that cannot be judged")
	k.release(c)
	removed, err := collecting(k, k.b).RemoveOrphans(k.ctx, []ledger.Orphan{{RunID: k.get(k.a, key("done")).Current.RunID}})
	k.ok(err, "RemoveOrphans")
	k.same(removed, []ledger.Orphan(nil), "removed outputs that have a record")
	k.exactly(key("done"), k.get(k.a, key("done")).Current, pieces(200<<10))
}
