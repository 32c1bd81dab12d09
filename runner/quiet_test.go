package runner

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

func TestQuietPrintsNothingOfASuccess(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.job()
	c.Output.Quiet = true
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "", "")
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, "", "")
	c.Output.Quiet = false
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr) // it is recorded
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}

func TestQuietPrintsNothingOfAnOKStatus(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("exit", "24")
	c := k.job()
	c.Output.Quiet, c.OK = true, codes(t, "24")
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "", "")
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, "", "")
}

func TestQuietPrintsAFailure(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("exit", "3")
	c := k.job()
	c.Output.Quiet = true
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	c.Policy.OnFailure = ChoiceReplay
	k.want(k.first(c), Decision{ActionReplay, ReasonFailed}, jobOut, jobErr)
	c.Policy = Policy{Final: codes(t, "3")}
	k.want(k.first(c), Decision{ActionReplay, ReasonFinal}, jobOut, jobErr)

	killed := k.shell("echo out; kill -KILL $$")
	killed.Output.Quiet, killed.Policy.OnMismatch = true, ChoiceRerun
	k.want(k.first(killed), Decision{ActionExecute, ReasonMismatch}, "out\n", "")
}

// If both streams are one file, as with 2>&1, the output keeps the order in which it
// was written.
func TestQuietKeepsTheOrder(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	// The recorder reads two pipes, and output that waits in both has no order. The
	// pauses let it read each piece before the next one is written.
	c := k.shell("for i in 1 2 3 4 5; do echo out $i; sleep 0.1; echo err $i >&2; sleep 0.1; done; exit 3")
	c.Output.Quiet = true
	one, err := os.OpenFile(k.path("both"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	defer one.Close()
	c.Stdin, c.Live.Stdout, c.Live.Stderr, c.Replayed.Stdout, c.Replayed.Stderr = one, one, one, one, one
	res, err := c.run(t.Context(), k.mem.Open())
	must(t, err)
	if res.Record.Phase() != ledger.PhaseFailed || res.Streams != nil {
		t.Errorf("got %+v", res)
	}
	want := ""
	for i := 1; i <= 5; i++ {
		want += fmt.Sprintf("out %d\nerr %d\n", i, i)
	}
	got, err := os.ReadFile(k.path("both"))
	must(t, err)
	if string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestQuietPrintsNothingOfAttemptsBeforeASuccess(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.failing(3, 0)
	c.Output.Quiet, c.Retries.N = true, 3
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "", "")
	if k.side() != 2 {
		t.Errorf("the command ran %d times, want 2", k.side())
	}
	k.id.Key = "another"
	failing := k.failing(3, 4)
	failing.Output.Quiet, failing.Retries.N = true, 1
	must(t, os.Remove(k.path("side")))
	k.want(k.first(failing), Decision{ActionExecute, ReasonNeverRun}, "out 1\nout 2\n", "err 1\nerr 2\n")
}

// If the ledger cannot record an outcome, the call prints the output.
func TestQuietPrintsUnrecordedOutput(t *testing.T) {
	t.Parallel()
	for _, exit := range []string{"0", "3"} {
		for n := 1; ; n++ {
			k := newKit(t)
			k.write("exit", exit)
			c := k.job()
			c.Output.Quiet = true
			f := &ledgertest.Faulty{Ledger: k.mem.Open(), FailAt: n}
			o := k.run(f, c)
			if f.Calls()[n-1] != "Finish" {
				continue
			}
			if o.Unrecorded == nil || o.Streams != nil || o.out != jobOut || o.errOut != jobErr {
				t.Errorf("exit %s: got %+v", exit, o)
			}
			break
		}
	}
}

// A call whose command fails prints to the Live streams, even without Replayed
// streams.
func TestQuietFailureUsesLiveStreams(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"echo out; exit 3", "seq 100000; exit 3"} {
		k := newKit(t)
		c := k.shell(script)
		c.Output.Quiet, c.Stdin = true, os.Stdin
		out, err := os.Create(k.path("out"))
		must(t, err)
		defer out.Close()
		c.Live.Stdout, c.Live.Stderr = out, out
		if _, err := c.run(t.Context(), k.mem.Open()); err != nil || !strings.HasSuffix(k.read("out"), "0\n") && k.read("out") != "out\n" {
			t.Errorf("%s: got %q, error %v", script, k.read("out"), err)
		}
	}
}

func TestQuietHoldsBackLongOutput(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("seq 100000; exit 3")
	c.Output.Quiet = true
	o := k.first(c)
	if o.err != nil || strings.Count(o.out, "\n") != 100000 || !strings.HasSuffix(o.out, "\n100000\n") || o.errOut != "" {
		t.Errorf("got %d bytes, error %v", len(o.out), o.err)
	}
}

func TestOKIsASuccessThatKeepsItsStatus(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("exit", "24")
	c := k.job()
	c.OK = codes(t, "20-25")
	o := k.first(c)
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	for _, a := range []ledger.Attempt{o.Record.Current, k.record().Current} {
		if a.State != ledger.Succeeded || a.ExitCode != 24 || a.Reason != ledger.ReasonExit {
			t.Errorf("got %+v", a)
		}
	}
	c.OK = nil // the recorded success stays one
	o = k.first(c)
	k.want(o, Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
	if o.Record.Current.ExitCode != 24 || k.side() != 1 {
		t.Errorf("got %+v, ran %d times", o.Record.Current, k.side())
	}
}

func TestOKCountsOnlyItsStatuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ok, script string
		state      ledger.State
	}{
		{"24", "exit 0", ledger.Succeeded}, // 0 is always a success
		{"24", "exit 23", ledger.Failed},
		{"0-255", "exit 255", ledger.Succeeded},
		{"0-255", "kill -KILL $$", ledger.Failed}, // not an exit status
	} {
		k := newKit(t)
		c := k.shell(test.script)
		c.OK = codes(t, test.ok)
		if o := k.first(c); o.err != nil || o.Record.Current.State != test.state {
			t.Errorf("%s, %s: got %+v, error %v", test.ok, test.script, o.Record.Current, o.err)
		}
	}
}

// The output of every failed attempt is printed in order, whether it is held in
// memory or only in the ledger.
func TestQuietPrintsEveryFailedAttempt(t *testing.T) {
	t.Parallel()
	lines := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintln(&b, i+1)
		}
		return b.String()
	}
	for name, counts := range map[string][]int{
		"little": {1, 2, 3}, "much": {50000, 1, 60000}, "together more than is held": {4000, 4000, 4000, 10}, "nothing": {0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			script, want := "case $ATTEMPT in ", ""
			for i, n := range counts {
				script += fmt.Sprintf("%d) seq %d;; ", i+1, n)
				want += fmt.Sprintf("attempt %d\n", i+1) + lines(n)
			}
			c := k.shell("echo attempt $ATTEMPT; " + script + "esac; exit 3")
			c.Output.Quiet, c.Retries.N = true, len(counts)-1
			k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, want, "")
		})
	}
}

// Output that is not recorded and too long for memory is lost, and the call says so.
func TestQuietReportsDroppedOutput(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("seq 50000; exit 3")
	c.Output.Quiet, c.Output.Max = true, 0
	o := k.first(c)
	if o.err != nil || len(o.Streams) != 1 || !errors.Is(o.Streams[0], errPerhapsLost) || o.out != "" {
		t.Errorf("got %v, streams %v, %d bytes", o.err, o.Streams, len(o.out))
	}
}
