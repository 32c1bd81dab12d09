package batch

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/sqlite"
	"idem/runner"
)

// TestBusyItemsAreWaitedFor lets another call hold an item. It ends the hold in each way.
func TestBusyItemsAreWaitedFor(t *testing.T) {
	for how, want := range map[string]string{"done": "1 done, 1 elsewhere", "failed": "2 done", "released": "2 done", "killed": "1 done, 1 interrupted"} {
		t.Run(how, func(t *testing.T) {
			k := newSched(t)
			other := k.mem.Open()
			claim, err := other.Claim(t.Context(), idOf("a"))
			must(t, err)
			var e ledger.Execution
			if how != "released" {
				e, err = claim.Begin(t.Context(), ledger.Start{RunID: "other", Fingerprint: "f"})
				must(t, err)
			}
			b := k.list(count, "a", "b")
			b.hear = func(n Notice) {
				if n.Kind != KindWait {
					return
				}
				switch how {
				case "done":
					_, err = e.Finish(t.Context(), ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit})
				case "failed":
					_, err = e.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 1})
				}
				must(t, err)
				if how == "killed" {
					k.mem.Crash(other)
				} else {
					must(t, claim.Release())
				}
			}
			if r := b.run(); r.Counts.String() != want {
				t.Errorf("got %v, want %v", r.Counts, want)
			}
		})
	}
}

func TestBusyItemsAreNotWaitedFor(t *testing.T) {
	k := newSched(t)
	claim, err := k.mem.Open().Claim(t.Context(), idOf("a"))
	must(t, err)
	b := k.list(count, "a", "b")
	b.Wait.Set = false
	b.want("1 done, 1 busy", VerdictBusy)
	b = k.list(count, "a", "b")
	b.Wait.Limit = time.Millisecond
	b.want("1 before, 1 busy", VerdictBusy)
	must(t, claim.Release())
}

// TestManyBusyItems holds so many items that they are looked at again before the end of the
// list.
func TestManyBusyItems(t *testing.T) {
	k := newSched(t)
	l := k.mem.Open()
	const n = 3 * firstSweep
	for _, name := range numbers(n) {
		_, err := l.Claim(t.Context(), idOf(name))
		must(t, err)
	}
	b := k.list(count, append(numbers(n), "x")...)
	b.change = func(c *runner.Call) { c.Argv = []string{"true"} }
	b.Wait.Limit = 1
	b.want("1 done, 3072 busy", VerdictBusy)
}

// TestOldSurvey has surveys that know of a success that was forgotten later.
func TestOldSurvey(t *testing.T) {
	for age, want := range map[time.Duration]string{0: "1 before", surveyAge + time.Second: "1 done"} {
		k := newSched(t)
		k.list("true", "a").want("1 done", VerdictDone)
		known, err := k.mem.Open().(ledger.Surveying).Successes(t.Context(), parent)
		must(t, err)
		must(t, k.mem.Open().Forget(t.Context(), idOf("a")))
		b := k.list(count, "a")
		b.Direct()
		s := newScheduler(t.Context(), &b.Batch)
		s.survey.Store(&survey{known, time.Now().Add(-age)})
		s.run(t.Context()).check(t, want, VerdictDone)
		b.Signals.Stop()
	}
}

// TestStaleSurvey finishes an item between the survey and its claim.
func TestStaleSurvey(t *testing.T) {
	k := newSched(t)
	for _, name := range numbers(surveyAfter + 10) {
		k.done(name)
	}
	n, surveyed := 0, make(chan bool)
	var b *testBatch
	b = k.from(count, func() (Entry, error) {
		switch n++; {
		case n <= surveyAfter+10:
			return entry(n, numbers(n)[n-1]), nil
		case n == surveyAfter+11:
			for b.live.Load().survey.Load() == nil {
				time.Sleep(time.Millisecond)
			}
			k.done("late")
			close(surveyed)
			return entry(n, "late"), nil
		case n == surveyAfter+12:
			return entry(n, "1"), nil
		case n == surveyAfter+13:
			return entry(n, "1=other"), nil
		}
		return Entry{}, io.EOF
	})
	b.want("1012 before, 1 conflict", VerdictMismatch)
	<-surveyed
	if skipped := b.live.Load().skipped.Load(); skipped < 1 {
		t.Errorf("got %d items skipped by the survey, want the one after it", skipped)
	}
	k.wantSide("")
}

// done records a success of an item.
func (k *kit) done(name string) {
	k.Helper()
	ctx := context.Background()
	claim, err := k.mem.Open().Claim(ctx, idOf(name))
	must(k.T, err)
	e, err := claim.Begin(ctx, ledger.Start{RunID: "done-" + name, Fingerprint: "f", Origin: ledger.Origin{Parent: parent, RunID: "earlier"}})
	must(k.T, err)
	_, err = e.Finish(ctx, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit})
	must(k.T, err)
	must(k.T, claim.Release())
}

// TestPolicyPrecedesTheSurvey has policies for which a success does not always count.
func TestPolicyPrecedesTheSurvey(t *testing.T) {
	for name, p := range map[string]runner.Policy{"force": {Force: true}, "ttl": {TTL: 1}, "fresh": {Fresh: true}, "verify": {Verify: true}} {
		t.Run(name, func(t *testing.T) {
			k := newSched(t)
			k.done("a")
			s := newScheduler(t.Context(), &k.list("", "a").Batch)
			s.Policy = p
			known, err := s.Runner.Ledger.(ledger.Surveying).Successes(t.Context(), parent)
			must(t, err)
			s.survey.Store(&survey{known, time.Now()})
			if s.skips(entry(1, "a")) {
				t.Error("the item is skipped")
			}
			if s.Policy = (runner.Policy{}); !s.skips(entry(1, "a")) {
				t.Error("without the policy, the item is not skipped")
			}
		})
	}
}

// TestTwoBatchesShareAList runs two calls of one list on an embedded ledger.
func TestTwoBatchesShareAList(t *testing.T) {
	k := newSched(t)
	dir := t.TempDir()
	results := make([]<-chan Result, 2)
	for i := range results {
		l, err := sqlite.Open(dir)
		must(t, err)
		defer l.Close()
		b := k.list(count, numbers(60)...)
		b.Runner.Ledger, b.Slots = l, 3
		b.Runner.NewRunID = newUUID
		results[i] = b.begin()
	}
	ran, skipped := 0, 0
	for _, r := range results {
		r := <-r
		ran += r.Counts[Done]
		skipped += r.Counts[DoneBefore] + r.Counts[DoneElsewhere]
		if r.Verdict() != VerdictDone {
			t.Errorf("got %v, verdict %v, fault %v", r.Counts, r.Verdict(), r.Fault)
		}
	}
	if ran != 60 || skipped != 60 {
		t.Errorf("got %d items done and %d skipped", ran, skipped)
	}
	if lines := strings.Fields(k.side()); len(lines) != 60 {
		t.Errorf("got %d side effects: %v", len(lines), lines)
	}
}

// TestAnItemAheadIsGivenBack runs a long item at -j 1. Another call then gets the next one.
func TestAnItemAheadIsGivenBack(t *testing.T) {
	k := newSched(t)
	long := k.list(count+`echo up >>up; until [ -e go ]; do sleep 0.01; done`, "long", "next").begin()
	k.until("up", 1)
	other := k.list(count, "next")
	other.want("1 done", VerdictDone)
	k.touch("go")
	(<-long).check(t, "1 done, 1 before", VerdictDone)
	k.wantSide("long next")
}

// TestStream checks that an item runs and is recorded before the next one is there.
func TestStream(t *testing.T) {
	k := newSched(t)
	entries := make(chan Entry)
	result := k.from(count, func() (Entry, error) {
		e, ok := <-entries
		if !ok {
			return e, io.EOF
		}
		return e, nil
	}).begin()
	l := k.mem.Open()
	for i, name := range []string{"a", "b", "c"} {
		entries <- entry(i+1, name)
		for {
			rec, err := l.Get(t.Context(), idOf(name))
			must(t, err)
			if rec.Current.State == ledger.Succeeded {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	close(entries)
	(<-result).check(t, "3 done", VerdictDone)
}

// clock is a Clock that moves when the test says so.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*func()]time.Time
	set    chan struct{} // gets a value for each timer
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), timers: map[*func()]time.Time{}, set: make(chan struct{}, 10_000)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := &f
	c.timers[key] = c.now.Add(d)
	c.set <- struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, key)
	}
}

// add moves the clock and runs the timers that are due.
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for key, at := range c.timers {
		if !at.After(c.now) {
			due = append(due, *key)
			delete(c.timers, key)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func TestRate(t *testing.T) {
	k := newSched(t)
	c := newClock()
	b := k.list(count+`[ $1 != 2 ] || [ -e second ] || { touch second; exit 1; }`, numbers(5)...)
	b.Slots, b.Interval, b.Clock = 8, 250*time.Millisecond, c
	b.change = func(call *runner.Call) { call.Retries = runner.Retries{N: 1} }
	var starts []time.Duration
	begin := c.Now()
	b.hear = func(n Notice) {
		if n.Kind == KindStart {
			starts = append(starts, n.At.Sub(begin))
		}
	}
	result := b.begin()
	for {
		select {
		case r := <-result:
			r.check(t, "5 done", VerdictDone)
			for i, at := range starts {
				if i > 0 && at-starts[i-1] < b.Interval {
					t.Errorf("start %d is %v after the one before", i+1, at-starts[i-1])
				}
			}
			if len(starts) != 6 {
				t.Errorf("got %d starts, want 6, with the retry", len(starts))
			}
			return
		case <-time.After(5 * time.Millisecond):
			c.add(10 * time.Millisecond)
		}
	}
}

// TestRetryHoldsNoSlot delays the retry of the first item until the other items are done.
func TestRetryHoldsNoSlot(t *testing.T) {
	k := newSched(t)
	c := newClock()
	b := k.list(count+`[ $1 != slow ] || [ $ATTEMPT = 2 ]`, "slow", "a", "b", "c")
	b.Clock = c
	b.change = func(call *runner.Call) { call.Retries = runner.Retries{N: 1, Delay: time.Hour, MaxDelay: time.Hour} }
	ends := 0
	b.hear = func(n Notice) {
		if n.Kind == KindEnd && n.Fate == Done {
			if ends++; ends == 3 {
				go c.add(2 * time.Hour)
			}
		}
	}
	b.want("4 done", VerdictDone)
	k.wantSide("slow a b c slow")
	if got := b.of(KindRetry); got != "slow" {
		t.Errorf("got retries of %q", got)
	}
}

// TestAFailureThatIsRetriedDoesNotStopTheBatch has a limit of one failure.
func TestAFailureThatIsRetriedDoesNotStopTheBatch(t *testing.T) {
	k := newSched(t)
	b := k.list(count+`[ $1 != x ] || [ $ATTEMPT = 2 ]`, "x", "a")
	b.Tolerance.Failures = 1
	b.change = func(call *runner.Call) { call.Retries = runner.Retries{N: 1} }
	b.want("2 done", VerdictDone)
}

// TestRetryHoldsAMutex retries an item while another one waits for the mutex of both. There is
// one slot for the two.
func TestRetryHoldsAMutex(t *testing.T) {
	for _, limit := range []int{0, 2} {
		k := newSched(t)
		b := k.list(count+`[ $1 != x ] || [ $ATTEMPT = 3 ]`, "x", "a")
		b.Limit = limit
		b.change = func(c *runner.Call) {
			c.Mutexes = []ledger.Mutex{{Name: "m", Limit: 1}}
			c.Retries = runner.Retries{N: 2, Delay: 50 * time.Millisecond, MaxDelay: 50 * time.Millisecond}
		}
		b.want("2 done", VerdictDone)
		k.wantSide("x x x a")
	}
}
