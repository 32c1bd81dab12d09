package runner

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// verified returns a call of job with a verification.
func (k *kit) verified(verification string) testCall {
	c := k.job()
	c.Policy.Verify, c.Verification.Command = true, "cd "+k.dir+"; "+verification
	return c
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verify   string
		change   func(*testCall)
		want     Decision
		attempts int // in the history
	}{
		"there":                     {"echo dropped", nil, Decision{ActionReplay, ReasonVerified}, 1},
		"gone":                      {"exit 1", nil, Decision{ActionExecute, ReasonUnverified}, 3},
		"gone, and had its attempt": {"exit 1", func(c *testCall) { c.Policy.MaxAttempts, c.Policy.RerunWithin = 1, 1 }, Decision{ActionExecute, ReasonUnverified}, 3},
		"cannot tell":               {"exit 2", nil, Decision{ActionRefuse, ReasonUnverified}, 1},
		"cannot tell, but replay":   {"exit 2", func(c *testCall) { c.Policy.OnUnverified = ChoiceReplay }, Decision{ActionReplay, ReasonUnverified}, 1},
		"cannot tell, but rerun":    {"exit 2", func(c *testCall) { c.Policy.OnUnverified = ChoiceRerun }, Decision{ActionExecute, ReasonUnverified}, 3},
		"too late":                  {"sleep 100", func(c *testCall) { c.Verification.Timeout = time.Millisecond }, Decision{ActionRefuse, ReasonUnverified}, 1},
		"cannot be started":         {strings.Repeat("x", 200<<10), nil, Decision{ActionRefuse, ReasonUnverified}, 1},
		"inside itself":             {"touch asked", func(c *testCall) { c.Inside.Asked = []string{"run-1"} }, Decision{ActionRefuse, ReasonRecursive}, 1},
		"inside that of another":    {"true", func(c *testCall) { c.Inside.Asked = []string{"run-0"} }, Decision{ActionReplay, ReasonVerified}, 1},
		"forced":                    {"touch asked", func(c *testCall) { c.Policy.Force = true }, Decision{ActionExecute, ReasonForced}, 2},
		"expired":                   {"touch asked", func(c *testCall) { c.Policy.TTL = 1 }, Decision{ActionExecute, ReasonExpired}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			k.want(k.first(k.job()), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
			c := k.verified(test.verify)
			if test.change != nil {
				test.change(&c)
			}
			o := k.first(c)
			out, errOut := jobOut, jobErr
			if test.want.Action == ActionRefuse {
				out, errOut = "", ""
			}
			k.want(o, test.want, out, errOut)
			if _, err := os.Stat(k.path("asked")); err == nil || (o.Verified == nil) != strings.Contains(test.verify, "asked") {
				t.Errorf("got %+v, and the file asked: %v", o.Verified, err)
			}
			as := k.attempts()
			if len(as) != test.attempts {
				t.Fatalf("got the history %+v", as)
			}
			if test.attempts == 3 {
				if m := as[1]; m.Reason != ledger.ReasonUnverified || m.State != ledger.None || m.Fingerprint != c.Inputs.Fingerprint || string(m.Inputs) != string(c.Inputs.Encoded) || m.Owner != c.Owner() {
					t.Errorf("got the mark %+v", m)
				}
			}
		})
	}
}

// Each ledger call around a verification may fail. The key runs again at most once for
// one answer, and after the answer is recorded no later call has to ask.
func TestEveryLedgerCallMayFailAroundAVerification(t *testing.T) {
	t.Parallel()
	var all []string
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			k := newKit(t)
			k.first(k.job())
			l := k.mem.Open()
			f := &ledgertest.Faulty{Ledger: l, FailAt: n, After: after}
			o := k.run(f, k.verified("exit 1"))
			if all = f.Calls(); len(all) < n {
				k.want(o, Decision{ActionExecute, ReasonUnverified}, jobOut, jobErr)
				break
			}
			failed := all[n-1]
			k.mem.Crash(l)
			phase := k.record().Phase()
			again := k.first(k.verified("exit 0"))
			want := map[ledger.Phase]Decision{
				ledger.PhaseSucceeded:   {ActionReplay, ReasonVerified},
				ledger.PhaseRetry:       {ActionExecute, ReasonUnverified},
				ledger.PhaseInterrupted: {ActionRefuse, ReasonInterrupted},
			}[phase]
			if again.err != nil || again.Decision != want {
				t.Errorf("%s, after %t: then the key is %s, and the next call %v, error %v; want %v", failed, after, phase, again.Decision, again.err, want)
			}
			if failed != "Finish" && failed != "Release" && !errors.Is(o.err, ledgertest.ErrFaulty) {
				t.Errorf("%s, after %t: got %v, error %v", failed, after, o.Decision, o.err)
			}
			if marked := slices.Contains(all[:n-1], "Mark") || failed == "Mark" && after; marked != (len(k.attempts()) > 1) {
				t.Errorf("%s, after %t: got the history %+v", failed, after, k.attempts())
			}
			if k.side() > 2 {
				t.Errorf("%s, after %t: the command ran %d times", failed, after, k.side())
			}
		}
	}
	if want := []string{"Get", "Get", "Claim", "Record", "Mark", "Begin", "Finish", "Release"}; !slices.Equal(all, want) {
		t.Errorf("got the calls %v, want %v", all, want)
	}
}

// An answer is about one attempt. If another call has run the key since, the
// verification is asked again.
func TestVerificationIsAskedAgainAboutANewAttempt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.first(k.job())
	done := make(chan outcome, 1)
	go func() {
		done <- k.first(k.verified(`echo x >>asked; while [ ! -e go ]; do sleep 0.01; done; test $(wc -l <asked) -gt 1`))
	}()
	k.until("the question", func() bool { _, err := os.Stat(k.path("asked")); return err == nil })
	forced := k.job()
	forced.Policy.Force = true
	k.first(forced)
	k.write("go", "")
	k.want(<-done, Decision{ActionReplay, ReasonVerified}, jobOut, jobErr)
	if b, _ := os.ReadFile(k.path("asked")); string(b) != "x\nx\n" || k.side() != 2 {
		t.Errorf("asked %q, ran %d times", b, k.side())
	}
}

// One of many callers that all find the effect gone runs the key.
func TestOneOfManyRunsWhatIsGone(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.first(k.job())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := k.verified(`test $(wc -l <side) -gt 1`)
			c.Wait.Set = true
			if o := k.first(c); o.err != nil || o.Record.Current.State != ledger.Succeeded || o.out != jobOut {
				t.Errorf("got %v, error %v, stdout %q", o.Decision, o.err, o.out)
			}
		})
	}
	wg.Wait()
	if k.side() != 2 || k.record().Attempts != 2 {
		t.Errorf("the command ran %d times", k.side())
	}
}

// Ask with questions returns the decision of a call at the same moment, and writes nothing.
func TestAskWithQuestions(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"none", "succeeded", "interrupted", "failed", "retry"} {
		for _, status := range []string{"0", "1", "2"} {
			for _, policy := range []Policy{
				{Probe: true, ProbeFirst: true, Verify: true},
				{Probe: true, OnInterrupted: ChoiceRerun, Verify: true, OnUnverified: ChoiceRerun},
				{Probe: true, Verify: true, OnUnverified: ChoiceReplay, MaxAttempts: 1},
				{Probe: true, Verify: true, RerunWithin: 1, OnInterrupted: ChoiceRerun},
			} {
				k := newKit(t)
				l, id := reach(t, state)
				c := k.call("true")
				c.ID, c.Inputs.Fingerprint, c.Policy = id, sameInputs, policy
				c.Probe.Command, c.Verification.Command = "exit "+status, "exit "+status
				f := &ledgertest.Faulty{Ledger: l}
				c.Ledger = f
				d, err := c.Ask(t.Context(), c.Call, true)
				must(t, err)
				for _, call := range f.Calls() {
					if !slices.Contains([]string{"Get", "Wait", "Attempts", "List"}, call) {
						t.Errorf("%s, %+v: Ask makes the calls %v", state, policy, f.Calls())
					}
				}
				o := k.run(l, c)
				want := o.Decision
				if want == (Decision{ActionReplay, ReasonProbed}) {
					want.Action = ActionSettle
				}
				if o.err != nil || d.Decision != want || (d.Verified == nil) != (o.Verified == nil) || (d.Probed == nil) != (o.Probed == nil) {
					t.Errorf("%s, %s, %+v: got %v, want %v (error %v)", state, status, policy, d.Decision, want, o.err)
				}
			}
		}
	}
}

// The age of a key is that of its first attempt, whatever the clock did after it.
func TestAgeOf(t *testing.T) {
	at := func(hours ...int) (all []ledger.Attempt) {
		for _, h := range hours {
			all = append(all, ledger.Attempt{Started: began.Add(time.Duration(h) * time.Hour)})
		}
		return all
	}
	for _, test := range []struct {
		starts []int
		now    int
		want   int
	}{
		{nil, 5, 0},
		{[]int{0}, 5, 5},
		{[]int{0, 3}, 5, 5},
		{[]int{0}, -5, 0},    // set back: not negative
		{[]int{0, 3}, -5, 3}, // set back: at least up to the latest attempt
		{[]int{0, -5}, 2, 2}, // set back for an attempt, and set right again
		{[]int{7, 0}, 1, 0},  // the clock was fast for the first attempt
	} {
		if got := ageOf(at(test.starts...), began.Add(time.Duration(test.now)*time.Hour)); got != time.Duration(test.want)*time.Hour {
			t.Errorf("%v at %d: got %v, want %dh", test.starts, test.now, got, test.want)
		}
	}
	for age, late := range map[time.Duration]bool{0: false, time.Hour - 1: false, time.Hour: true, math.MaxInt64: true} {
		if got := (Policy{RerunWithin: time.Hour}).tooLate(age); got != late {
			t.Errorf("%v: got too late %t", age, got)
		}
	}
}
