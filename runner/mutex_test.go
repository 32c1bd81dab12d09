package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// holdMutex takes mutexes for a key as another process would. It returns its run id and
// a function that gives them back.
func (k *kit) holdMutex(key string, mutexes ...ledger.Mutex) (runID string, release func()) {
	k.Helper()
	claim, err := k.mem.Open().Claim(k.Context(), ledger.ID{Namespace: "default", Key: key})
	must(k.T, err)
	runID = fmt.Sprintf("run-%d", k.runs.Add(1))
	_, err = claim.Begin(k.Context(), ledger.Start{RunID: runID, Mutexes: mutexes})
	must(k.T, err)
	return runID, func() { must(k.T, claim.Release()) }
}

func limit(name string, n int) ledger.Mutex { return ledger.Mutex{Name: name, Limit: n} }

// jobWith returns a call of job with mutexes.
func (k *kit) jobWith(mutexes ...ledger.Mutex) testCall {
	c := k.job()
	c.Mutexes = mutexes
	return c
}

// waitsFor waits until the key of the kit is in the line of a mutex.
func (k *kit) waitsFor(name string) {
	k.Helper()
	k.until("the line", func() bool {
		states, err := k.mem.Open().Mutexes(k.Context(), "default", name)
		must(k.T, err)
		return len(states) == 1 && slices.ContainsFunc(states[0].Waiters, func(u ledger.MutexUse) bool { return u.ID == k.id })
	})
}

func TestHeldMutexRefusesAnExecutionOnly(t *testing.T) {
	k := newKit(t)
	_, release := k.holdMutex("other", limit("m", 1))
	o := k.first(k.jobWith(limit("a", 1), limit("m", 1)))
	k.want(o, Decision{ActionRefuse, ReasonMutex}, "", "")
	if o.Mutex == nil || o.Mutex.Mutex != limit("m", 1) || len(o.Mutex.State.Holders) != 1 || o.Mutex.State.Holders[0].ID.Key != "other" {
		t.Errorf("got %+v", o.Mutex)
	}
	if k.record().Phase() != ledger.PhaseNone || k.side() != 0 {
		t.Errorf("got the record %+v, and %d executions", k.record(), k.side())
	}
	k.want(k.first(k.jobWith(limit("a", 1))), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	k.want(k.first(k.jobWith(limit("m", 1))), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
	forced := k.jobWith(limit("m", 1))
	forced.Policy.Force = true
	k.want(k.first(forced), Decision{ActionRefuse, ReasonMutex}, "", "")
	forced.Wait.Set, forced.Wait.Limit = true, 20*time.Millisecond
	k.want(k.first(forced), Decision{ActionRefuse, ReasonMutex}, "", "")
	release()
	forced.Wait = Wait{}
	k.want(k.first(forced), Decision{ActionExecute, ReasonForced}, jobOut, jobErr)
	k.wantNoMutex()
}

// damagedMutexes is a ledger in which the row of a mutex is damaged.
type damagedMutexes struct{ ledger.Ledger }

func (l damagedMutexes) Mutexes(context.Context, string, ...string) ([]ledger.MutexState, error) {
	return nil, ledger.ErrCorrupt
}

// A call without mutexes is refused or waits, whatever is damaged in a mutex.
func TestDamagedMutexRefusesNoOtherCall(t *testing.T) {
	k := newKit(t)
	claim, err := k.mem.Open().Claim(t.Context(), k.id)
	must(t, err)
	l := damagedMutexes{k.mem.Open()}
	k.want(k.run(l, k.job()), Decision{ActionRefuse, ReasonBusy}, "", "")
	waiting := k.job()
	waiting.Wait.Set = true
	done := make(chan outcome, 1)
	go func() { done <- k.run(l, waiting) }()
	must(t, claim.Release())
	k.want(<-done, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
}

// wantNoMutex checks that no mutex is in use.
func (k *kit) wantNoMutex() {
	k.Helper()
	if states, err := k.mem.Open().Mutexes(k.Context(), ""); len(states) > 0 || err != nil {
		k.Errorf("got the mutexes %+v, error %v; want none in use", states, err)
	}
}

// A call that waits for a mutex holds its key. When the mutex is free, it decides again
// on the record and asks its probe again.
func TestWaitForAMutex(t *testing.T) {
	for _, answer := range []string{"1", "0"} {
		k := newKit(t)
		_, release := k.holdMutex("other", limit("m", 1))
		c := k.jobWith(limit("m", 1))
		c.Wait.Set, c.Policy.Probe, c.Policy.ProbeFirst = true, true, true
		k.write("answer", "1")
		c.Probe.Command = fmt.Sprintf("cd %s; echo x >>probed; exit $(cat answer)", k.dir)
		var told []error
		c.Waiting.Tell = func(held error, _ bool) { told = append(told, held) }
		result := make(chan outcome, 1)
		go func() { result <- k.first(c) }()
		k.waitsFor("m")

		o := k.first(k.job())
		k.want(o, Decision{ActionRefuse, ReasonBusy}, "", "")
		if o.Queued == nil || o.Queued.Name != "m" {
			t.Errorf("got %+v, want the mutex that the call waits for", o.Queued)
		}
		k.write("answer", answer)
		release()
		o = <-result
		want, out, errOut := Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr
		if answer == "0" {
			want, out, errOut = Decision{ActionReplay, ReasonProbed}, "", ""
		}
		k.want(o, want, out, errOut)
		if b, _ := os.ReadFile(k.path("probed")); string(b) != "x\nx\n" {
			t.Errorf("the probe was asked %q", b)
		}
		var full *ledger.MutexError
		if len(told) != 1 || !errors.As(told[0], &full) || full.Mutex.Name != "m" {
			t.Errorf("told %v", told)
		}
		k.wantNoMutex()
	}
}

// Reminders do not cost a call its place in the line.
func TestRemindersKeepThePlaceInTheLine(t *testing.T) {
	k := newKit(t)
	_, release := k.holdMutex("other", limit("m", 1))
	c := k.jobWith(limit("m", 1))
	var told atomic.Int64
	c.Wait.Set, c.Waiting.Remind, c.Waiting.Tell = true, time.Millisecond, func(error, bool) { told.Add(1) }
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	result := make(chan outcome, 1)
	go func() { result <- k.run(f, c) }()
	k.until("five reminders", func() bool { return told.Load() > 5 })
	release()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	queued := 0
	for _, name := range f.Calls() {
		if name == "Queue" {
			queued++
		}
	}
	if queued != 1 {
		t.Errorf("queued %d times, want once", queued)
	}
}

// The limit of a wait covers the key and the mutexes together.
func TestOneLimitForKeyAndMutex(t *testing.T) {
	k := newKit(t)
	_, release := k.holdMutex("other", limit("m", 1))
	holder, err := k.mem.Open().Claim(t.Context(), k.id)
	must(t, err)
	c := k.jobWith(limit("m", 1))
	c.Wait.Set, c.Wait.Limit = true, time.Second
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	result := make(chan outcome, 1)
	go func() { result <- k.run(f, c) }()
	k.until("the wait", func() bool { return slices.Contains(f.Calls(), "Wait") })
	must(t, holder.Release())
	k.want(<-result, Decision{ActionRefuse, ReasonMutex}, "", "")
	if !slices.Contains(f.Calls(), "Queue") {
		t.Errorf("got the calls %v, want a wait for the mutex too", f.Calls())
	}
	release()
	k.wantNoMutex()
}

// A call whose mutex an outer attempt holds would wait for itself.
func TestMutexOfAnOuterAttempt(t *testing.T) {
	k := newKit(t)
	outer, release := k.holdMutex("outer", limit("m", 2))
	_, releaseOther := k.holdMutex("other", limit("first", 1))
	free := k.jobWith(limit("m", 2))
	free.Inside.Attempts = []string{outer}
	k.want(k.first(free), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	for _, wait := range []bool{false, true} {
		for _, mutexes := range [][]ledger.Mutex{{limit("m", 1)}, {limit("first", 1), limit("m", 1)}, {limit("first", 1), limit("m", 3)}} {
			c := k.jobWith(mutexes...)
			c.Policy.Force, c.Wait.Set, c.Inside.Attempts = true, wait, []string{"a", outer}
			o := k.first(c)
			k.want(o, Decision{ActionRefuse, ReasonRecursive}, "", "")
			if o.Mutex == nil || o.Mutex.Mutex.Name != "m" {
				t.Errorf("got %+v, want the mutex m", o.Mutex)
			}
			if d, err := c.ask(t.Context(), k.mem.Open()); err != nil || d.Decision != o.Decision {
				t.Errorf("asked: got %v, error %v", d.Decision, err)
			}
		}
	}
	c := k.jobWith(limit("first", 1))
	c.Policy.Force, c.Inside.Attempts = true, []string{outer}
	k.want(k.first(c), Decision{ActionRefuse, ReasonMutex}, "", "")
	release()
	releaseOther()
	k.wantNoMutex()
}

// A call inside of an attempt does not wait for a call that waits for the attempt's
// mutex, be it by a mutex or by a key.
func TestNoCircleOverAnotherCall(t *testing.T) {
	k := newKit(t)
	outer, release := k.holdMutex("outer", limit("a", 1))
	w := k.jobWith(limit("a", 1), limit("b", 1))
	w.Wait.Set = true
	result := make(chan outcome, 1)
	go func() { result <- k.first(w) }()
	k.waitsFor("b")

	inner := k.jobWith(limit("b", 1))
	inner.ID.Key, inner.Wait.Set, inner.Inside.Attempts = "inner", true, []string{outer}
	k.want(k.first(inner), Decision{ActionRefuse, ReasonRecursive}, "", "")
	same := k.job()
	same.Wait.Set, same.Inside.Attempts = true, []string{outer}
	o := k.first(same)
	k.want(o, Decision{ActionRefuse, ReasonRecursive}, "", "")
	if o.Queued == nil {
		t.Error("the refusal does not name the mutex")
	}
	same.Wait.Set = false // it does not wait, so it is only busy
	k.want(k.first(same), Decision{ActionRefuse, ReasonBusy}, "", "")
	release()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
}

// A signal that comes while a call finds its mutex held ends the call. It does not wait
// with the signal lost.
func TestSignalBeforeTheWaitForAMutex(t *testing.T) {
	k := newKit(t)
	_, release := k.holdMutex("other", limit("m", 1))
	defer release()
	c := k.jobWith(limit("m", 1))
	c.Wait.Set = true
	owner := c.Owner
	c.Owner = func() ledger.Owner { // called after idem catches signals, before Begin
		seen := proc.Catch()
		defer seen.Stop()
		must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
		<-seen.Done()
		return owner()
	}
	o := k.first(c)
	var stopped *proc.SignalError
	if !errors.As(o.err, &stopped) || stopped.Signal != syscall.SIGTERM || k.side() != 0 {
		t.Errorf("got error %v, %v", o.err, o.Decision)
	}
}

// A call holds its mutexes over all attempts and their start hooks.
func TestMutexOverRetriesAndStartHooks(t *testing.T) {
	k := newKit(t)
	c := k.shell("exit 3")
	c.Mutexes = []ledger.Mutex{limit("m", 1)}
	c.Retries = Retries{N: 2, Delay: time.Millisecond, MaxDelay: time.Millisecond}
	held := func() int {
		states, err := k.mem.Open().Mutexes(t.Context(), "default", "m")
		must(t, err)
		return len(states)
	}
	var seen []string
	c.Hooks = Hooks{
		List: []Hook{{Events: []Event{EventStart}, Command: "true"}}, Limit: time.Minute,
		Report: func(e Event, _ Call, _ Result, _ error) ([]string, []byte) {
			seen = append(seen, fmt.Sprint(e, " ", held()))
			return nil, nil
		},
	}
	if o := k.first(c); o.err != nil || o.HookFaults != nil {
		t.Fatal(o.err, o.HookFaults)
	}
	if want := []string{"start 1", "start 1", "start 1"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	k.wantNoMutex()
}

// At most as many callers with different keys run at once as the mutex has places.
func TestManyCallersOfAMutex(t *testing.T) {
	k := newKit(t)
	const callers, places = 20, 3
	result := make(chan outcome)
	for i := range callers {
		c := k.shell(`mkdir in$$; ls -d in* | wc -l >>counts; sleep 0.01; rmdir in$$`)
		c.ID.Key, c.Wait.Set, c.Mutexes = fmt.Sprint("k", i), true, []ledger.Mutex{limit("m", places)}
		go func() { result <- k.first(c) }()
	}
	for range callers {
		o := <-result
		k.want(o, Decision{ActionExecute, ReasonNeverRun}, "", o.errOut)
	}
	b, err := os.ReadFile(k.path("counts"))
	must(t, err)
	n := 0
	for _, c := range b {
		if c >= '0' && c <= '9' {
			n++
			if c > '0'+places {
				t.Errorf("got %c commands at once, want at most %d", c, places)
			}
		}
	}
	if n != callers {
		t.Errorf("got %d executions, want %d", n, callers)
	}
	k.wantNoMutex()
}

// Each ledger call of a call that waits for its mutex fails in turn.
func TestFaultsInTheLine(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			k := newKit(t)
			_, release := k.holdMutex("other", limit("m", 1))
			c := k.jobWith(limit("m", 1))
			c.Wait.Set = true
			l := k.mem.Open()
			f := &ledgertest.Faulty{Ledger: l, FailAt: n, After: after}
			result := make(chan outcome, 1)
			go func() { result <- k.run(f, c) }()
			k.until("the line or the end", func() bool { return len(result) > 0 || slices.Contains(f.Calls(), "Queue") })
			release()
			o := <-result
			if len(f.Calls()) < n {
				k.want(o, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
				break
			}
			failed := f.Calls()[n-1]
			if ran := k.side(); ran > 1 || (o.err == nil) != (ran == 1) || o.err != nil && !errors.Is(o.err, ledgertest.ErrFaulty) {
				t.Errorf("%s failed: the command ran %d times, and the call got %v, error %v", failed, ran, o.Decision, o.err)
			}
			k.mem.Crash(l)
			k.wantNoMutex()
		}
	}
}
