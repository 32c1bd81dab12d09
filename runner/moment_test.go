package runner

import (
	"errors"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// history makes an attempt or a mark from each letter. Its run id is its index.
//   - f, l, s, r: an attempt that failed, was lost, succeeded or is running
//   - D, F, R: a mark done, failed or retry
func history(letters string) []ledger.Attempt {
	var all []ledger.Attempt
	n := 0
	for i, c := range letters {
		a := ledger.Attempt{RunID: string(rune('0' + i)), Reason: ledger.ReasonMarked}
		a.State = map[rune]ledger.State{
			'f': ledger.Failed, 'l': ledger.Failed, 's': ledger.Succeeded, 'r': ledger.Running,
			'D': ledger.Succeeded, 'F': ledger.Failed, 'R': ledger.None,
		}[c]
		if c >= 'a' {
			n++
			a.Number, a.Reason = n, ledger.ReasonExit
		}
		all = append(all, a)
	}
	return all
}

func TestAttemptsTried(t *testing.T) {
	for letters, want := range map[string]int{
		"": 0, "f": 1, "fff": 3, "s": 0, "ffs": 0, "ffsf": 1, "ffsfl": 2, "ffsflr": 3,
		"fD": 0, "fDf": 1, "fF": 1, "fR": 1, "fRf": 2, "sFf": 1, "sRff": 2, "sfsf": 1,
	} {
		all := history(letters)
		last := ""
		if len(all) > 0 {
			last = all[len(all)-1].RunID
		}
		if got := len(attemptsTried(all, last)); got != want {
			t.Errorf("%s: got %d, want %d", letters, got, want)
		}
	}
	if got := len(attemptsTried(history("fffsff"), "2")); got != 3 { // later attempts do not count
		t.Errorf("got %d", got)
	}
}

// A success resets the count of attempts, for calls and for their retries.
func TestMaxAttemptsCountFromTheLastSuccess(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("exit", "3")
	c := k.job()
	c.Policy.MaxAttempts = 2
	k.first(c)
	k.first(c)
	if o := k.first(c); o.Decision != (Decision{ActionRefuse, ReasonExhausted}) || o.Tried != 2 {
		t.Fatalf("got %v after %d", o.Decision, o.Tried)
	}
	for failing, decided := range map[int]bool{2: false, 3: true} { // reading the history, for the decision and for Tried
		o := k.run(&ledgertest.Faulty{Ledger: k.mem.Open(), FailAt: failing}, c)
		if !errors.Is(o.err, ledgertest.ErrFaulty) || errors.As(o.err, new(*ReplayError)) != decided {
			t.Errorf("call %d failed: got %v, error %v", failing, o.Decision, o.err)
		}
	}
	k.write("exit", "0")
	forced := k.job()
	forced.Policy.Force = true
	k.want(k.first(forced), Decision{ActionExecute, ReasonForced}, jobOut, jobErr)

	k.write("exit", "3")
	c.Policy.TTL, c.Retries.N = 1, 5 // the success expires at once
	if o := k.first(c); o.Decision != (Decision{ActionExecute, ReasonExpired}) || o.Record.Attempts != 5 {
		t.Fatalf("got %v, attempts %d", o.Decision, o.Record.Attempts) // one and a retry
	}
	if o := k.first(c); o.Decision != (Decision{ActionRefuse, ReasonExhausted}) || o.Tried != 2 {
		t.Fatalf("got %v after %d", o.Decision, o.Tried)
	}
}
