package batch

import (
	"context"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/none"
	"idem/runner"
)

func TestEachItemRunsOnce(t *testing.T) {
	k := newSched(t)
	k.list(count, "a", "b", "c").want("3 done", VerdictDone)
	k.wantSide("a b c")
	k.list(count, "c", "new", "a", "b").want("1 done, 3 before", VerdictDone)
	k.wantSide("a b c new")
}

func TestFailedItemsRunAgainInTheNextCall(t *testing.T) {
	k := newSched(t)
	k.list(count+`[ $1 != b ]`, "a", "b", "c").want("2 done, 1 failed", VerdictFailed)
	k.list(count, "a", "b", "c").want("1 done, 2 before", VerdictDone)
	k.wantSide("a b c b")
}

func TestDuplicatesRunOnce(t *testing.T) {
	k := newSched(t)
	b := k.list(count+`[ $1 != x ]`, "x", "a", "x", "a", "a=2", "x")
	b.Slots = 3
	b.want("1 done, 1 failed, 1 conflict, 3 duplicate", VerdictMismatch)
	if got := strings.Count(k.side(), "x"); got != 1 {
		t.Errorf("x ran %d times", got)
	}
}

// TestTwiceWithOtherFields has a list in which a key has two values of a field. The survey
// skips the first line in one case.
func TestTwiceWithOtherFields(t *testing.T) {
	k := newSched(t)
	k.list("true", "a=1").want("1 done", VerdictDone)
	for _, surveyed := range []bool{false, true} {
		b := k.list(count, "a=1", "a=2", "a=1")
		b.Policy.OnMismatch = runner.ChoiceRerun
		b.Direct()
		s := newScheduler(t.Context(), &b.Batch)
		if surveyed {
			known, err := k.mem.Open().(ledger.Surveying).Successes(t.Context(), parent)
			if err != nil {
				t.Fatal(err)
			}
			s.survey.Store(&survey{known, time.Now()})
		}
		s.run(t.Context()).check(t, "2 before, 1 conflict", VerdictMismatch)
		b.Signals.Stop()
		k.wantSide("")
	}
}

func TestOtherFieldsAreAMismatch(t *testing.T) {
	k := newSched(t)
	k.list(count, "a=1").want("1 done", VerdictDone)
	k.list(count, "a=2", "b=1").want("1 done, 1 mismatch", VerdictMismatch)
	k.wantSide("a b")
}

func TestInterruptedItemsAreNotTouched(t *testing.T) {
	k := newSched(t)
	k.interrupt("b")
	k.list(count, "a", "b", "c").want("2 done, 1 interrupted", VerdictInterrupted)
	k.wantSide("a c")
	b := k.list(count, "b")
	b.Policy.OnInterrupted = runner.ChoiceRerun
	b.want("1 done", VerdictDone)
}

// interrupt records an attempt of an item that has no end.
func (k *kit) interrupt(name string) {
	k.Helper()
	ctx := context.Background()
	l := k.mem.Open()
	claim, err := l.Claim(ctx, idOf(name))
	must(k.T, err)
	_, err = claim.Begin(ctx, ledger.Start{RunID: "lost-" + name, Fingerprint: "f"})
	must(k.T, err)
	k.mem.Crash(l)
}

func TestOnly(t *testing.T) {
	for only, want := range map[Selection]string{OnlyNew: "new", OnlyFailed: "bad", OnlyInterrupted: "lost"} {
		t.Run(string(only), func(t *testing.T) {
			k := newSched(t)
			k.list(`false`, "bad").run()
			k.list(`true`, "good").run()
			k.interrupt("lost")
			b := k.list(count, "new", "bad", "lost", "good")
			b.Only = only
			b.Policy.OnInterrupted = runner.ChoiceRerun
			b.want("1 done, 1 before, 2 left out", VerdictDone)
			k.wantSide(want)
		})
	}
}

func TestLimit(t *testing.T) {
	k := newSched(t)
	k.list(count, "1", "2").want("2 done", VerdictDone)
	b := k.list(count, numbers(10)...)
	b.Limit, b.Slots = 3, 2
	r := b.run()
	if r.Counts[Done] != 3 || r.Counts[DoneBefore] != 2 || r.Stop != ByLimit || r.Verdict() != VerdictDone {
		t.Errorf("got %v, stop %v", r.Counts, r.Stop)
	}
	k.list(count, numbers(10)...).want("5 done, 5 before", VerdictDone)
}

func TestFailFast(t *testing.T) {
	k := newSched(t)
	b := k.list(count+`[ $1 != 3 ]`, numbers(10)...)
	b.Tolerance.Failures = 1
	r := b.run()
	k.wantSide("1 2 3")
	if r.Counts[Done] != 2 || r.Counts[Failed] != 1 || r.Stop != ByFailures || r.Verdict() != VerdictFailed {
		t.Errorf("got %v, stop %v", r.Counts, r.Stop)
	}
}

func TestStopOn(t *testing.T) {
	k := newSched(t)
	b := k.list(count+`case $1 in 2) exit 1;; 4) exit 77;; esac`, numbers(10)...)
	b.Tolerance.Codes = runner.Codes{{First: 77, Last: 77}}
	b.run()
	k.wantSide("1 2 3 4")
}

func TestKillRunning(t *testing.T) {
	k := newSched(t)
	b := k.list(`if [ $1 = bad ]; then until [ -e up ]; do sleep 0.01; done; exit 1; fi; touch up; exec sleep 600`, "long", "bad", "never")
	b.Slots, b.Tolerance.Failures, b.KillRunning = 2, 1, true
	b.change = func(c *runner.Call) { c.Limits.Timeout = 1 << 40 } // so that the command has its own group
	r := b.run()
	if r.Counts[Failed] != 2 || r.Stop != ByFailures {
		t.Errorf("got %v, stop %v", r.Counts, r.Stop)
	}
}

func TestTolerance(t *testing.T) {
	for _, c := range []struct {
		Tolerance
		ran, failed, status int
		want                bool
	}{
		{Tolerance{}, 100, 100, 1, false},
		{Tolerance{Failures: 2}, 1, 1, 1, false},
		{Tolerance{Failures: 2}, 2, 2, 1, true},
		{Tolerance{Percent: 5}, 1, 1, 1, false},
		{Tolerance{Percent: 5}, 19, 19, 1, false},
		{Tolerance{Percent: 5}, 20, 1, 1, true},
		{Tolerance{Percent: 5}, 21, 1, 1, false},
		{Tolerance{Percent: 0.5}, 200, 1, 1, true},
		{Tolerance{Codes: runner.Codes{{First: 3, Last: 5}}}, 1, 1, 4, true},
		{Tolerance{Codes: runner.Codes{{First: 3, Last: 5}}}, 1, 1, 6, false},
	} {
		if got := c.exceeded(c.ran, c.failed, c.status); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestVerdictOrder(t *testing.T) {
	r := Result{Fault: ledger.ErrFull, Signal: 15, Command: ledger.ErrFull}
	for _, f := range []Fate{Unrecorded, Interrupted, Mismatch, Refused, Failed, Busy} {
		r.Counts[f] = 1
	}
	var got []Verdict
	for _, undo := range []func(){
		func() { r.Fault = nil }, func() { r.Counts[Unrecorded] = 0 }, func() { r.Signal = 0 }, func() { r.Command = nil },
		func() { r.Counts[Interrupted] = 0 }, func() { r.Counts[Mismatch] = 0 }, func() { r.Counts[Refused] = 0 },
		func() { r.Counts[Failed] = 0 }, func() { r.Counts[Busy] = 0 }, func() {},
	} {
		got = append(got, r.Verdict())
		undo()
	}
	for i, v := range got {
		if v != Verdict(i) {
			t.Errorf("%d. verdict: got %v", i, v)
		}
	}
}

func TestCommandNotFound(t *testing.T) {
	k := newSched(t)
	b := k.list("", numbers(5)...)
	b.change = func(c *runner.Call) { c.Argv = []string{"/does/not/exist"} }
	r := b.run()
	if r.Verdict() != VerdictCommand || r.Counts[Failed] != 0 {
		t.Errorf("got %v, verdict %v", r.Counts, r.Verdict())
	}
	records, err := ledger.Collect(k.mem.Open().List(t.Context(), ledger.Filter{}))
	must(t, err)
	if len(records) > 0 {
		t.Errorf("got records %v, want none", records)
	}
}

// TestDuplicatesWithoutALedger has a ledger that remembers nothing.
func TestDuplicatesWithoutALedger(t *testing.T) {
	k := newSched(t)
	b := k.list(count, "x", "a", "x", "b", "a")
	b.Runner.Ledger, b.Forgets = none.New(false), true
	b.want("3 done, 2 duplicate", VerdictDone)
	k.wantSide("x a b")
}
