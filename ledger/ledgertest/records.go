package ledgertest

import (
	"fmt"
	"strings"
	"time"

	"idem/ledger"
)

var recordCases = []testCase{
	{"GetMissing", getMissing, nil},
	{"GetCreatesNothing", getCreatesNothing, nil},
	{"RoundTrip", roundTrip, nil},
	{"RoundTripOddIDs", roundTripOddIDs, nil},
	{"TimesArePrecise", timesArePrecise, nil},
	{"AttemptsAreKept", attemptsAreKept, nil},
}

func getMissing(k *kit) {
	id := ledger.ID{Namespace: "default", Key: "never", Window: "2026-11-22"}
	want := ledger.Record{ID: id, Generation: 1}
	k.same(k.get(k.a, id), want, "record of a key that was never run")
	k.phase(id, ledger.PhaseNone)

	k.run(k.a, key("other"), success)
	k.same(k.get(k.b, id), want, "record of a key that was never run")
}

func getCreatesNothing(k *kit) {
	id := key("never")
	before := k.look()
	k.get(k.a, id)
	k.get(k.b, id)
	if as := k.attempts(k.a, id); len(as) != 0 {
		k.Errorf("a key that was never run has attempts: %+v", as)
	}
	_, err := k.a.Output(k.ctx, id, newRunID())
	k.is(err, ledger.ErrNotFound, "Output of a run that was not recorded")
	k.ok(k.a.Wait(k.ctx, id), "Wait for a key that was never run")
	if rs := k.list(k.a, ledger.Filter{}); len(rs) != 0 {
		k.Errorf("reading recorded something: %+v", rs)
	}
	k.same(k.look(), before, "the place after reading")

	k.release(k.claim(k.a, id))
	if rs := k.list(k.b, ledger.Filter{}); len(rs) != 0 {
		k.Errorf("a claim alone recorded something: %+v", rs)
	}
	k.is(k.a.Forget(k.ctx, id), ledger.ErrNotFound, "Forget of a key that was only read")
}

func (k *kit) look() string {
	if k.h.Look == nil {
		return ""
	}
	return k.h.Look(k.T, k.place)
}

// roundTrip checks an attempt through all methods that return it, before and after its end.
func roundTrip(k *kit) {
	id := ledger.ID{Namespace: "prod", Key: "deploy:4f2c1e", Window: "2026-W47"}
	s := ledger.Start{
		RunID:       newRunID(),
		Fingerprint: "h1:" + strings.Repeat("ab", 32),
		Inputs:      []byte("argv\x00with NUL\x00, invalid UTF-8 \xff\xc3\x28 and\r\nline ends\n"),
		Owner:       someone,
		MaxOutput:   -1,
	}
	c := k.claim(k.a, id)
	x := k.beginWith(c, s)
	begun := x.Attempt()
	want := ledger.Attempt{
		Number: 1, RunID: s.RunID, State: ledger.Running, Started: begun.Started,
		Fingerprint: s.Fingerprint, Inputs: s.Inputs, Owner: s.Owner,
	}
	k.same(begun, want, "Attempt after Begin")
	record := ledger.Record{
		ID: id, Generation: 1, Fence: x.Fence(), Attempts: 1, Current: want, Alive: true,
	}
	k.same(k.get(k.a, id), record, "running record, same handle")
	k.same(k.get(k.b, id), record, "running record, other handle")
	own, err := c.Record(k.ctx)
	k.ok(err, "Record of a claim")
	own.Alive = true // the contract does not define whether a holder counts itself
	k.same(own, record, "running record, through the claim")
	k.phase(id, ledger.PhaseRunning)

	x.Write(ledger.Stdout, []byte("out"))
	x.Write(ledger.Stderr, []byte("error"))
	done := k.finish(x, killed)
	want.State, want.Reason, want.ExitCode, want.Signal = killed.State, killed.Reason, 137, 9
	want.Ended, want.OutputBytes = done.Ended, 8
	k.same(done, want, "Attempt after Finish")
	k.release(c)
	record.Current, record.Alive = want, false
	k.same(k.get(k.a, id), record, "finished record, same handle")
	k.same(k.get(k.b, id), record, "finished record, other handle")
	k.same(k.attempts(k.b, id), []ledger.Attempt{want}, "history")
	k.phase(id, ledger.PhaseFailed)

	fresh := k.open()
	k.same(k.get(fresh, id), record, "finished record, new handle")
	k.ok(fresh.Close(), "Close")
}

// oddIDs are IDs that a careless ledger confuses, normalises, or takes for paths or
// patterns.
func oddIDs() []ledger.ID {
	ids := []ledger.ID{
		{Namespace: "a", Key: "b/c"},
		{Namespace: "a/b", Key: "c"},
		{Namespace: "a", Key: "b", Window: "c"},
		{Namespace: "ab", Key: "c"},
		{Namespace: "a", Key: "bc"},
		{Namespace: "a", Key: "c", Window: "b"},
		{Namespace: "default", Key: "same"},
		{Namespace: "default", Key: "same", Window: "2026-11-22"},
		{Namespace: "default", Key: "same", Window: "2026-11-23"},
		{Namespace: "prod", Key: "same"},
	}
	long := strings.Repeat("0123456789abcdef", 64) // 1024 bytes
	for _, name := range []string{
		".", "..", "../../etc/passwd", "/", "a/b", "a//b", "a\\b", "%00", "%2e%2e", "%", "_", "*", "[a]",
		"'", `"`, "'; drop table records; --", "$HOME", "~", "-", "--key", "NULL", "0", "1", "01", "1.0",
		"key", "Key", "KEY", "two  words", "two words", "🚀", "🚀🚀", "é", "e\u0301", "ß", "ss", "日本",
		long, long[:1023], long[:1023] + "x", "x" + long[1:],
	} {
		ids = append(ids, key(name))
	}
	return ids
}

func roundTripOddIDs(k *kit) {
	ids := oddIDs()
	want := map[ledger.ID]string{}
	for _, id := range ids {
		want[id] = k.run(k.a, id, success).RunID
	}
	for _, id := range ids {
		r := k.get(k.b, id)
		k.same(r.ID, id, "ID of a record")
		k.same(r.Current.RunID, want[id], fmt.Sprintf("run id of %+v", id))
		k.same(r.Attempts, 1, fmt.Sprintf("attempts of %+v", id))
	}
	got := map[ledger.ID]string{}
	for _, r := range k.list(k.b, ledger.Filter{}) {
		got[r.ID] = r.Current.RunID
	}
	k.same(got, want, "listed keys and run ids")
}

// timesArePrecise: times have microseconds. With a coarser clock, all times of this case
// would be whole milliseconds.
func timesArePrecise(k *kit) {
	id, fine := key("k"), false
	for range 10 {
		k.run(k.a, id, success)
	}
	for _, a := range k.attempts(k.b, id) {
		for _, t := range []time.Time{a.Started, a.Ended} {
			fine = fine || t.Nanosecond()/1000%1000 != 0
		}
	}
	if !fine {
		k.Error("no recorded time is finer than a millisecond")
	}
}

func attemptsAreKept(k *kit) {
	id := key("k")
	var want []ledger.Attempt
	for i, o := range []ledger.Outcome{failure, killed, failure, success} {
		l := k.a
		if i%2 == 1 {
			l = k.b
		}
		a := k.run(l, id, o)
		k.same(a.Number, i+1, "number of an attempt")
		want = append(want, a)
	}
	k.same(k.attempts(k.a, id), want, "history")
	r := k.get(k.b, id)
	k.same(r.Attempts, 4, "attempts of the record")
	k.same(r.Current, want[3], "current attempt")

	// Several attempts in one claim, as with retries, are numbered in the same way.
	c := k.claim(k.a, id)
	want = append(want, k.finish(k.begin(c), failure))
	want = append(want, k.finish(k.begin(c), success))
	k.release(c)
	k.same(want[5].Number, 6, "number of the second attempt in one claim")
	k.same(k.attempts(k.b, id), want, "history after retries")
}
