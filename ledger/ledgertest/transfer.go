package ledgertest

import (
	"errors"
	"slices"

	"idem/ledger"
)

var transferCases = []testCase{
	{"OldestFirst", oldestFirst, nil},
	{"PutRestoresARecord", putRestoresARecord, offers[ledger.Transferring]},
	{"PutIsAllOrNothing", putIsAllOrNothing, offers[ledger.Transferring]},
	{"PutReplacesARecord", putReplacesARecord, offers[ledger.Transferring]},
	{"PutNeedsTheExpectedRecord", putNeedsTheExpectedRecord, offers[ledger.Transferring]},
	{"PutOfARunningAttemptIsInterrupted", putOfARunningAttemptIsInterrupted, offers[ledger.Transferring]},
	{"PutKeepsAnInterruption", putKeepsAnInterruption, offers[ledger.Transferring]},
	{"PutKeepsAnOutput", putKeepsAnOutput, offers[ledger.Transferring]},
	{"PutOfNumbers", putOfNumbers, offers[ledger.Transferring]},
	{"PutOfAChild", putOfAChild, offers[ledger.Transferring]},
	{"PutForgetsNoChild", putForgetsNoChild, offers[ledger.Transferring]},
	{"NumbersAreThoseThatMustNotReturn", numbersAreThoseThatMustNotReturn, offers[ledger.Transferring]},
}

func oldestFirst(k *kit) {
	var ids []ledger.ID
	for _, name := range []string{"c", "a", "b"} {
		ids = append(ids, key(name))
		k.run(k.a, key(name), success)
	}
	k.run(k.a, ids[0], failure)
	var got []ledger.ID
	for _, r := range k.list(k.b, ledger.Filter{OldestFirst: true}) {
		got = append(got, r.ID)
	}
	k.same(got, []ledger.ID{ids[1], ids[2], ids[0]}, "the list")
	k.same(len(k.list(k.b, ledger.Filter{OldestFirst: true, Limit: 2})), 2, "records of a list with a limit")
	k.same(k.list(k.b, ledger.Filter{OldestFirst: true, Limit: 1})[0].ID, ids[1], "the oldest record")
}

// putRestoresARecord: everything that can be read is the same in the other ledger, and the next
// attempt goes on with its numbers.
func putRestoresARecord(k *kit) {
	to := k.second()
	id := ledger.ID{Namespace: "prod", Key: "deploy", Window: "2026-W47"}
	k.run(k.a, id, killed)
	k.record(id, pieces(3<<20), 1<<20) // with a gap
	k.record(id, pieces(100), -1)
	k.record(id, pieces(100), 0)
	c := k.claim(k.a, id)
	x := k.begin(c)
	write(x, pieces(40<<10))
	k.finish(x, ledger.Outcome{
		State: ledger.Failed, Reason: ledger.ReasonTimeout, ExitCode: 124,
		Files:   []ledger.File{{Name: "a", Content: []byte("x\xff\x00")}, {Name: "b\xff", Place: 2, Lost: true}},
		Capture: ledger.Capture{Incomplete: true, Redacted: true, Unread: ledger.Gaps{Stderr: 7}},
	})
	k.release(c)
	k.mark(k.a, id, ledger.Succeeded)
	k.copyTo(to, id)

	k.run(k.a, key("odd"), success)
	k.ok(k.a.Forget(k.ctx, key("odd")), "Forget")
	k.run(k.a, key("odd"), success)
	k.copyTo(to, key("odd"))
	k.same(k.list(to, ledger.Filter{})[0].ID, key("odd"), "the latest record")

	was := k.get(to, id)
	c = k.claim(to, id)
	x = k.begin(c)
	if a := x.Attempt(); a.Number != was.Attempts+1 || x.Fence() <= was.Fence || x.Generation() != was.Generation {
		k.Errorf("the attempt after Put is number %d with fence %d: the record was %+v", a.Number, x.Fence(), was)
	}
	k.finish(x, success)
	k.release(c)
	k.ok(to.Forget(k.ctx, id), "Forget")
	if r := k.get(to, id); r.Generation <= was.Generation || r.Fence < was.Fence {
		k.Errorf("the numbers went back: %+v", r)
	}
	k.same(len(k.attempts(to, key("odd"))), 1, "attempts of another record")
}

// putIsAllOrNothing: an error of Next leaves nothing behind, and Put can be repeated.
func putIsAllOrNothing(k *kit) {
	to := k.second()
	broken := errors.New("the file ends here")
	for _, id := range []ledger.ID{key("new"), key("old")} {
		if id == key("old") {
			k.run(to, id, failure)
		}
		k.run(k.a, id, success)
		k.record(id, pieces(300<<10), -1)
		r, have, all := k.get(k.a, id), k.get(to, id), k.historyOf(k.a, id)
		before := k.historyOf(to, id)
		for _, n := range []int{0, 1, 2, len(all) - 1} {
			im := importOf(r, have, nil)
			im.Next = inOrder(all[:n], broken)
			if err := k.put(to, id, im); !errors.Is(err, broken) && !errors.Is(err, ledger.ErrHistory) {
				k.Fatalf("Put of a part: got error %v", err)
			}
			k.same(k.get(to, id), have, "the record after a failed Put")
			k.same(k.historyOf(to, id), before, "the history after a failed Put")
		}
		if k.putOver(to, id, importOf(r, have, all)) {
			k.same(k.historyOf(to, id), all, "the history after Put")
		}
	}
}

// putReplacesARecord: the history is that of the import, the numbers are the greater ones, and old
// outputs are gone.
func putReplacesARecord(k *kit) {
	to := k.second()
	id := key("k")
	old := k.record(id, pieces(100<<10), -1)
	k.copyTo(to, id)
	gone := k.run(to, id, failure)
	k.ok(to.Forget(k.ctx, id), "Forget")
	k.run(to, id, failure)
	have := k.get(to, id)

	k.record(id, pieces(200<<10), -1)
	r, all := k.get(k.a, id), k.historyOf(k.a, id)
	if !k.putOver(to, id, importOf(r, have, all)) {
		return
	}
	k.same(k.historyOf(to, id), all, "the history after Put")
	now := k.get(to, id)
	k.same([]int64{now.Generation, now.Fence}, []int64{max(r.Generation, have.Generation), max(r.Fence, have.Fence)}, "generation and fence")
	_, err := to.Output(k.ctx, id, gone.RunID)
	k.is(err, ledger.ErrNotFound, "Output of a run that was replaced")
	k.same(k.attempts(to, id)[0].RunID, old.RunID, "the first run")

	// the same run again, with its output
	k.ok(k.put(to, id, importOf(r, now, all)), "Put of the same history")
	k.same(k.historyOf(to, id), all, "the history after a second Put")
}

func putNeedsTheExpectedRecord(k *kit) {
	to := k.second()
	id := key("k")
	k.run(k.a, id, success)
	have := k.get(to, id)
	k.run(to, id, success)
	before := k.historyOf(to, id)
	k.is(k.put(to, id, importOf(k.get(k.a, id), have, k.historyOf(k.a, id))), ledger.ErrChanged, "Put on another record")
	k.same(k.historyOf(to, id), before, "the history")
	c := k.claim(to, id)
	k.release(c)
	if err := c.(ledger.Receiving).Put(k.ctx, importOf(k.get(k.a, id), k.get(to, id), k.historyOf(k.a, id))); err == nil {
		k.Error("Put after Release has no error")
	}
}

// putOfARunningAttemptIsInterrupted: it has no holder in the other ledger. Its output so far is
// there, also when a later attempt has made it a lost one.
func putOfARunningAttemptIsInterrupted(k *kit) {
	to := k.second()
	id := key("k")
	out := pieces(200 << 10)
	c := k.claim(k.a, id)
	x := k.begin(c)
	write(x, out)
	k.release(c)
	r, all := k.get(k.a, id), []ledger.Piece{{Attempt: &k.attempts(k.a, id)[0]}}
	for i := range out {
		all = append(all, ledger.Piece{Chunk: &out[i]})
	}
	k.ok(k.put(to, id, importOf(r, k.get(to, id), all)), "Put")
	k.same(k.get(to, id).Phase(), ledger.PhaseInterrupted, "phase")
	read := func() {
		k.Helper()
		if got, want := flatten(k.output(to, id, r.Current.RunID)), flatten(out); !slices.Equal(got.bytes, want.bytes) {
			k.Errorf("the output so far has %d bytes, want %d", len(got.bytes), len(want.bytes))
		}
	}
	read()
	k.putOver(to, id, importOf(r, k.get(to, id), all))
	read()
	k.run(to, id, success)
	k.same(k.attempts(to, id)[0].Reason, ledger.ReasonLost, "reason of the first attempt")
	read()
	k.same(k.get(to, id).Attempts, 2, "attempts")
}

// putKeepsAnInterruption: only a success, or a history that has the interrupted attempt, replaces it.
func putKeepsAnInterruption(k *kit) {
	to := k.second()
	id := key("k")
	interrupt := func() ledger.Record {
		k.Helper()
		c := k.claim(to, id)
		k.begin(c)
		k.release(c)
		return k.get(to, id)
	}
	k.run(k.a, id, failure)
	have := interrupt()
	before := k.historyOf(to, id)
	r, all := k.get(k.a, id), k.historyOf(k.a, id)
	k.is(k.put(to, id, importOf(r, have, all)), ledger.ErrHistory, "Put of a failure over an interrupted attempt")
	k.same(k.get(to, id), have, "the record")
	k.same(k.historyOf(to, id), before, "the history")

	ended := have.Current
	ended.State, ended.Reason, ended.ExitCode, ended.Ended = ledger.Failed, ledger.ReasonExit, 3, ended.Started
	if k.putOver(to, id, importOf(r, have, []ledger.Piece{{Attempt: &ended}})) {
		k.same(k.get(to, id).Phase(), ledger.PhaseFailed, "phase after Put of the end of the attempt")
	}
	have = interrupt()
	k.run(k.a, id, success)
	if k.putOver(to, id, importOf(k.get(k.a, id), have, k.historyOf(k.a, id))) {
		k.same(k.get(to, id).Phase(), ledger.PhaseSucceeded, "phase after Put of a success")
	}
}

// putKeepsAnOutput: an export without outputs takes none away.
func putKeepsAnOutput(k *kit) {
	to := k.second()
	for i, n := range []int{100, 100 << 10} {
		id := key("small")
		if i > 0 {
			id.Key = "large"
		}
		a := k.record(id, pieces(n), -1)
		k.copyTo(to, id)
		want := k.historyOf(to, id)
		a.OutputRemoved, a.Truncated = a.Ended, true
		k.putOver(to, id, importOf(k.get(k.a, id), k.get(to, id), []ledger.Piece{{Attempt: &a}}))
		k.same(k.historyOf(to, id), want, "the history")

		other := k.second()
		k.ok(k.put(other, id, importOf(k.get(k.a, id), k.get(other, id), []ledger.Piece{{Attempt: &a}})), "Put without the output")
		k.same(k.attempts(other, id), []ledger.Attempt{a}, "the history without the output")
		k.same(len(k.output(other, id, a.RunID)), 0, "pieces of the output")
	}
}

// putOfNumbers: without a history, only the numbers change. Generations stay with a history.
func putOfNumbers(k *kit) {
	numbers := func(id ledger.ID) {
		k.Helper()
		k.ok(k.put(k.a, id, ledger.Import{Expect: k.get(k.a, id), Generation: 7, Fence: 9}), "Put of numbers")
	}
	numbers(key("new"))
	k.same(k.get(k.b, key("new")), ledger.Record{ID: key("new"), Generation: 7, Fence: 9}, "a record without a history")
	k.run(k.a, key("new"), success)
	if r := k.get(k.b, key("new")); r.Generation != 7 || r.Fence <= 9 || r.Attempts != 1 {
		k.Errorf("the numbers of the next attempt: %+v", r)
	}
	k.run(k.a, key("old"), success)
	want := k.get(k.b, key("old"))
	numbers(key("old"))
	want.Fence = max(want.Fence, 9)
	k.same(k.get(k.b, key("old")), want, "a record with a history")
	k.run(k.a, key("old"), success)
	if r := k.get(k.b, key("old")); r.Fence <= 9 {
		k.Errorf("the fence of the next attempt is %d", r.Fence)
	}
}
