package runner

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// failing returns a call whose command prints the number of its attempt. Attempt N
// exits with exits[N-1], or with 1 if there is none.
func (k *kit) failing(exits ...int) testCall {
	for i, code := range exits {
		k.write(fmt.Sprintf("exit-%d", i+1), fmt.Sprint(code))
	}
	return k.shell(`echo x >>side; echo out $ATTEMPT; echo err $ATTEMPT >&2; exit $(cat exit-$ATTEMPT 2>/dev/null || echo 1)`)
}

// lines returns the output of attempts 1 to n of failing on a stream.
func lines(stream string, n int) (s string) {
	for i := range n {
		s += fmt.Sprintln(stream, i+1)
	}
	return s
}

func codes(t *testing.T, text string) Codes {
	t.Helper()
	c, err := ParseCodes(text)
	must(t, err)
	return c
}

func TestRetriesInOneCall(t *testing.T) {
	for _, test := range []struct {
		name     string
		exits    []int
		set      func(c *testCall)
		attempts int
		code     int
	}{
		{"none", []int{3, 0}, func(*testCall) {}, 1, 3},
		{"success at last", []int{3, 4, 0}, func(c *testCall) { c.Retries.N = 5 }, 3, 0},
		{"success at once", []int{0}, func(c *testCall) { c.Retries.N = 5 }, 1, 0},
		{"all used up", []int{3, 4, 5, 0}, func(c *testCall) { c.Retries.N = 2 }, 3, 5},
		{"a success of its own kind", []int{3, 24, 0}, func(c *testCall) { c.Retries.N, c.OK = 5, codes(t, "24") }, 2, 24},
		{"worth it", []int{3, 7, 0}, func(c *testCall) { c.Retries.N, c.Retries.On = 5, codes(t, "3,7") }, 3, 0},
		{"not worth it", []int{3, 4, 0}, func(c *testCall) { c.Retries.N, c.Retries.On = 5, codes(t, "3,7") }, 2, 4},
		{"final", []int{3, 4, 0}, func(c *testCall) { c.Retries.N, c.Policy.Final = 5, codes(t, "4") }, 2, 4},
		{"max attempts", []int{3, 4, 0}, func(c *testCall) { c.Retries.N, c.Policy.MaxAttempts = 5, 2 }, 2, 4},
		{"max attempts, but forced", []int{3, 4, 0}, func(c *testCall) { c.Retries.N, c.Policy.MaxAttempts, c.Policy.Force = 5, 2, true }, 3, 0},
		{"whatever policy says of earlier calls", []int{3, 0}, func(c *testCall) { c.Retries.N, c.Policy.OnFailure = 5, ChoiceRefuse }, 2, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			c := k.failing(test.exits...)
			test.set(&c)
			o := k.first(c)
			k.want(o, Decision{ActionExecute, ReasonNeverRun}, lines("out", test.attempts), lines("err", test.attempts))
			if cur := o.Record.Current; cur.Number != test.attempts || cur.ExitCode != test.code || o.Status.ExitCode != test.code || o.NotRetried != nil {
				t.Errorf("got %+v, status %+v, not retried %v", cur, o.Status, o.NotRetried)
			}
			history := k.attempts()
			if len(history) != test.attempts || k.side() != test.attempts || o.Record.Attempts != test.attempts {
				t.Fatalf("ran %d times, record %+v, history %+v", k.side(), o.Record, history)
			}
			runs := map[string]bool{}
			for i, a := range history {
				runs[a.RunID] = true
				last := i == len(history)-1
				if a.Number != i+1 || a.ExitCode != test.exits[i] || a.Reason != ledger.ReasonExit || a.State == ledger.Succeeded && !last || a.Ended.IsZero() {
					t.Errorf("attempt %d is recorded as %+v", i+1, a)
				}
			}
			if len(runs) != test.attempts {
				t.Errorf("the attempts have the run ids %v", runs)
			}
			if _, err := k.mem.Open().Claim(t.Context(), k.id); err != nil {
				t.Errorf("the key is held: %v", err)
			}
		})
	}
}

// Policies that end the retries count for the next call too.
func TestFinalAndExhaustedHoldFromThenOn(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.failing(3, 4, 5)
	c.Retries.N, c.Policy.Final = 5, codes(t, "4")
	k.first(c)
	k.want(k.first(c), Decision{ActionReplay, ReasonFinal}, "out 2\n", "err 2\n")

	c.Policy.Final, c.Policy.MaxAttempts = nil, 2
	k.want(k.first(c), Decision{ActionRefuse, ReasonExhausted}, "", "")
	c.Policy.MaxAttempts = 3
	k.want(k.first(c), Decision{ActionExecute, ReasonFailed}, "out 3\n", "err 3\n") // one attempt without a retry
	// Force overrides the maximum, for the retries too.
	c.Policy.Force = true
	k.write("exit-5", "0")
	k.want(k.first(c), Decision{ActionExecute, ReasonForced}, "out 4\nout 5\n", "err 4\nerr 5\n")
	if k.side() != 5 {
		t.Errorf("the command ran %d times, want 5", k.side())
	}
}

func TestDeathBySignalIsNotRetried(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("echo x >>side; kill -TERM $$")
	c.Retries.N = 3
	o := k.first(c)
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "", "")
	if k.side() != 1 || o.Status.Signal != syscall.SIGTERM {
		t.Errorf("ran %d times, %+v", k.side(), o.Status)
	}
}

// TestSignalEndsTheDelay is not parallel: the signal reaches all of the process.
func TestSignalEndsTheDelay(t *testing.T) {
	k := newKit(t)
	c := k.failing(3, 0)
	c.Retries = Retries{N: 3, Delay: time.Hour, MaxDelay: time.Hour}
	result := make(chan outcome, 1)
	go func() { result <- k.first(c) }()
	k.until("the first failure", func() bool { return k.record().Phase() == ledger.PhaseFailed })
	must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	var o outcome
	select {
	case o = <-result:
	case <-time.After(time.Minute):
		t.Fatal("the call still waits for the retry")
	}
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "out 1\n", "err 1\n")
	if o.Fatal != syscall.SIGTERM || k.side() != 1 || o.Record.Current.ExitCode != 3 || o.Status != (proc.Status{ExitCode: 3}) {
		t.Errorf("got %+v, ran %d times", o.Result, k.side())
	}
	k.want(k.first(k.failing()), Decision{ActionExecute, ReasonFailed}, "out 2\n", "err 2\n") // the key is free
}

// A call holds the key while it waits for a retry.
func TestKeyIsHeldDuringTheDelay(t *testing.T) {
	k := newKit(t)
	c := k.failing(3, 0)
	c.Retries = Retries{N: 3, Delay: time.Hour, MaxDelay: time.Hour}
	result := make(chan outcome, 1)
	go func() { result <- k.first(c) }()
	k.until("the first failure", func() bool { return k.record().Phase() == ledger.PhaseFailed })
	o := k.first(c)
	k.want(o, Decision{ActionRefuse, ReasonBusy}, "", "")
	d, err := c.ask(t.Context(), k.mem.Open())
	if err != nil || d.Decision != o.Decision {
		t.Errorf("asked: got %v, error %v", d.Decision, err)
	}
	must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-result
}

// An error of the live output of one attempt is reported, even if a later attempt has
// none.
func TestErrorOfTheOutputOfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	c := k.shell("echo x >>side; [ $ATTEMPT = 2 ] || { echo out; exit 3; }")
	c.Retries.N = 1
	c.Stdin, c.Live.Stdout, c.Live.Stderr = os.Stdin, full, full
	res, err := c.run(t.Context(), k.mem.Open())
	if err != nil || k.side() != 2 || len(res.Streams) != 1 || !errors.Is(res.Streams[0], syscall.ENOSPC) {
		t.Errorf("ran %d times, streams %v, error %v", k.side(), res.Streams, err)
	}
}

// A retry that cannot be started does not change the result of the previous attempt.
func TestRetryThatCannotStart(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("once", "#!/bin/sh\necho out\nrm -f \"$0\"\nexit 3\n")
	must(t, os.Chmod(k.path("once"), 0o700))
	c := k.call(k.path("once"))
	c.Retries.N = 3
	o := k.first(c)
	var start *proc.StartError
	if !errors.As(o.NotRetried, &start) {
		t.Errorf("not retried: %v", o.NotRetried)
	}
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	if o.Record.Attempts != 1 || o.Record.Current.ExitCode != 3 || o.Status != (proc.Status{ExitCode: 3}) || len(k.attempts()) != 1 {
		t.Errorf("got %+v", o.Result)
	}
}

// Each ledger call of a retry may fail too. In every case the result agrees with the
// ledger.
func TestEveryLedgerCallOfARetryMayFail(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		k := newKit(t)
		c := k.failing(3, 0)
		c.Retries.N = 3
		f := &ledgertest.Faulty{Ledger: k.mem.Open(), FailAt: n}
		o := k.run(f, c)
		calls := f.Calls()
		if len(calls) < n {
			k.want(o, Decision{ActionExecute, ReasonNeverRun}, lines("out", 2), lines("err", 2))
			break
		}
		ran := k.side()
		switch {
		case ran == 0:
			if !errors.Is(o.err, ledgertest.ErrFaulty) {
				t.Errorf("%v: got error %v", calls, o.err)
			}
		case o.Unrecorded != nil:
			if calls[n-1] != "Finish" || o.NotRetried != nil || o.out != lines("out", ran) {
				t.Errorf("%v: got %+v", calls, o)
			}
		case o.NotRetried != nil:
			if ran != 1 || o.err != nil || o.Status.ExitCode != 3 || o.Record.Current.RunID != k.record().Current.RunID {
				t.Errorf("%v: ran %d times, got %+v", calls, ran, o)
			}
		}
	}
}

func TestDelaysGrowAndAreBounded(t *testing.T) {
	for _, r := range []Retries{
		{Delay: time.Second, MaxDelay: 10 * time.Second},
		{Delay: time.Second, MaxDelay: time.Second},
		{Delay: time.Minute, MaxDelay: time.Second}, // the maximum wins
		{Delay: time.Minute},
		{Delay: time.Nanosecond, MaxDelay: time.Hour},
		{MaxDelay: time.Second},
		{},
	} {
		limit := r.MaxDelay
		longest := time.Duration(0)
		for range 50 {
			delay, base := r.delays(), float64(min(r.Delay, limit))
			for i := range 60 {
				d := delay()
				if d < 0 || d > limit || float64(d) < base/2-1 || float64(d) > base*1.5+1 {
					t.Fatalf("%+v: delay %d is %v", r, i, d)
				}
				base = min(base*2, float64(limit))
				longest = max(longest, d)
			}
		}
		if longest < limit/2 && r.Delay > 0 {
			t.Errorf("%+v: no delay is longer than %v", r, longest)
		}
	}
}
