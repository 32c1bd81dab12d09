package runner

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

func TestFirstCallRunsAndTheNextReplays(t *testing.T) {
	k := newKit(t)
	o := k.first(k.job())
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	if a := o.Record.Current; o.Record.Phase() != ledger.PhaseSucceeded || a.Number != 1 || a.ExitCode != 0 || o.Status != (proc.Status{}) {
		t.Fatalf("got record %+v", o.Record)
	}
	for range 2 {
		again := k.first(k.job())
		k.want(again, Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
		if again.Record.Current.RunID != o.Record.Current.RunID {
			t.Errorf("got the outcome of run %s", again.Record.Current.RunID)
		}
	}
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}

func TestReplayWithoutStreamsReadsNoOutput(t *testing.T) {
	k := newKit(t)
	k.first(k.job())
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	res, err := k.job().run(t.Context(), f) // without streams
	if err != nil || res.Action != ActionReplay {
		t.Fatalf("got %v, %v", res.Decision, err)
	}
	if got := f.Calls(); !slices.Equal(got, []string{"Get"}) {
		t.Errorf("a replay without streams made the calls %v", got)
	}
}

func TestReplayTakesNoClaim(t *testing.T) {
	k := newKit(t)
	k.first(k.job())
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	k.want(k.run(f, k.job()), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
	if got := f.Calls(); !slices.Equal(got, []string{"Get", "Output"}) {
		t.Errorf("a replay made the calls %v", got)
	}
}

func TestFailureRunsAgainUnlessPolicySaysOtherwise(t *testing.T) {
	for _, test := range []struct {
		policy Choice
		want   Decision
		side   int
	}{
		{"", Decision{ActionExecute, ReasonFailed}, 2},
		{ChoiceRerun, Decision{ActionExecute, ReasonFailed}, 2},
		{ChoiceReplay, Decision{ActionReplay, ReasonFailed}, 1},
		{ChoiceRefuse, Decision{ActionRefuse, ReasonFailed}, 1},
	} {
		k := newKit(t)
		k.write("exit", "3")
		o := k.first(k.job())
		k.want(o, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
		if o.Status.ExitCode != 3 || o.Record.Phase() != ledger.PhaseFailed || o.Record.Current.Reason != ledger.ReasonExit {
			t.Fatalf("got %+v, %+v", o.Status, o.Record)
		}
		c := k.job()
		c.Policy.OnFailure = test.policy
		o = k.first(c)
		out, errOut := jobOut, jobErr
		if test.want.Action == ActionRefuse {
			out, errOut = "", ""
		}
		k.want(o, test.want, out, errOut)
		if k.side() != test.side || o.Record.Current.ExitCode != 3 || o.Record.Current.Number != test.side {
			t.Errorf("%s: ran %d times, %+v", test.policy, k.side(), o.Record.Current)
		}
	}
}

func TestMismatchIsRefusedAlsoWhileRunning(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	other := k.call("other", "command")
	o := k.first(other)
	k.want(o, Decision{ActionRefuse, ReasonMismatch}, "", "")
	if o.Record.Current.Fingerprint == other.Inputs.Fingerprint || o.Record.Phase() != ledger.PhaseRunning {
		t.Errorf("got record %+v", o.Record)
	}
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	k.want(k.first(other), Decision{ActionRefuse, ReasonMismatch}, "", "")

	accepted := k.job()
	accepted.Policy.OnMismatch = ChoiceRerun
	k.want(k.first(accepted), Decision{ActionExecute, ReasonMismatch}, jobOut, jobErr)
	k.want(k.first(k.job()), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
}

func TestForceRunsASuccessAgain(t *testing.T) {
	k := newKit(t)
	k.first(k.job())
	c := k.job()
	c.Policy.Force = true
	k.want(k.first(c), Decision{ActionExecute, ReasonForced}, jobOut, jobErr)
	if a := k.attempts(); len(a) != 2 || a[0].State != ledger.Succeeded || k.side() != 2 {
		t.Errorf("got the history %+v", a)
	}
}

func TestDeathBySignalIsAFailureWithItsSignal(t *testing.T) {
	k := newKit(t)
	o := k.first(k.shell("kill -TERM $$"))
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "", "")
	a := o.Record.Current
	if a.State != ledger.Failed || a.Reason != ledger.ReasonSignal || a.ExitCode != 143 || a.Signal != 15 || o.Status.Signal != syscall.SIGTERM {
		t.Errorf("got %+v, status %+v", a, o.Status)
	}
}

func TestCommandGetsTheAttempt(t *testing.T) {
	k := newKit(t)
	c := k.shell(`echo $ATTEMPT $FENCE $RUN $GENERATION; exit 1`)
	as := func(runID string) testCall {
		c.NewRunID = func() string { return runID }
		return c
	}
	k.want(k.first(as("one")), Decision{ActionExecute, ReasonNeverRun}, "1 1 one 1\n", "")
	k.want(k.first(as("another")), Decision{ActionExecute, ReasonFailed}, "2 2 another 1\n", "")
	must(t, k.mem.Open().Forget(t.Context(), k.id))
	k.want(k.first(as("a third")), Decision{ActionExecute, ReasonNeverRun}, "1 3 a third 2\n", "")
}

func TestStartFailureLeavesTheKeyUnchanged(t *testing.T) {
	k := newKit(t)
	k.write("script", "#!/no/such/interpreter\n")
	must(t, os.Chmod(k.path("script"), 0o700))
	k.write("plain", "echo")
	calls := map[string]testCall{
		"not found":      k.call("no-such-command-of-idem"),
		"not executable": k.call(k.path("plain")),
		"a directory":    k.call(k.dir),
		"no interpreter": k.call(k.path("script")),
		"too long":       k.call("echo", strings.Repeat("x", 1<<20)),
	}
	// A policy under which a command starts in every state.
	policy := Policy{OnMismatch: ChoiceRerun, OnInterrupted: ChoiceRerun, Force: true}
	for _, state := range []string{"none", "forgotten", "retry", "interrupted", "succeeded", "failed"} {
		for name, c := range calls {
			l, id := reach(t, state)
			c.ID, c.Policy = id, policy
			if state == "interrupted" { // no policy accepts other inputs there
				c.Inputs.Fingerprint = sameInputs
			}
			before, err := l.Get(t.Context(), id)
			must(t, err)
			history, err := l.Attempts(t.Context(), id)
			must(t, err)
			o := k.run(l, c)
			var start *proc.StartError
			if !errors.As(o.err, &start) || o.out+o.errOut != "" {
				t.Fatalf("%s, %s: got %v, error %v", state, name, o.Decision, o.err)
			}
			if want := map[bool]int{true: 127, false: 126}[name == "not found"]; start.Code != want {
				t.Errorf("%s, %s: got code %d, want %d", state, name, start.Code, want)
			}
			after, err := l.Get(t.Context(), id)
			must(t, err)
			if d := cmp.Diff(before, after, cmpopts.IgnoreFields(ledger.Record{}, "Fence")); d != "" {
				t.Errorf("%s, %s: the record has changed:\n%s", state, name, d)
			}
			again, err := l.Attempts(t.Context(), id)
			must(t, err)
			if d := cmp.Diff(history, again); d != "" {
				t.Errorf("%s, %s: the history has changed:\n%s", state, name, d)
			}
			claim, err := l.Claim(t.Context(), id)
			if err != nil {
				t.Fatalf("%s, %s: the key is held: %v", state, name, err)
			}
			must(t, claim.Release())
		}
	}
}

func TestStartFailureBindsNoArguments(t *testing.T) {
	k := newKit(t)
	if o := k.first(k.call("no-such-command-of-idem")); o.err == nil {
		t.Fatal("the command was started")
	}
	k.want(k.first(k.job()), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
}

// lostLedger is a ledger whose claims are lost when the channel lost is closed.
type lostLedger struct {
	ledger.Ledger
	lost chan struct{}
}

type lostClaim struct {
	ledger.Claim
	lost chan struct{}
}

func (l lostLedger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.Ledger.Claim(ctx, id)
	return lostClaim{c, l.lost}, err
}

func (c lostClaim) Lost() <-chan struct{} { return c.lost }

func TestLostClaimEndsTheCommand(t *testing.T) {
	k := newKit(t)
	l := lostLedger{k.mem.Open(), make(chan struct{})}
	result := make(chan outcome, 1)
	c := k.shell("echo x >>side; exec sleep 600")
	c.Limits.Timeout = time.Hour // not the reason for its end
	go func() { result <- k.run(l, c) }()
	k.until("the start", func() bool { return k.side() > 0 })
	close(l.lost)
	if o := <-result; o.err != nil || o.Status.Signal != syscall.SIGTERM || o.Record.Current.Reason != ledger.ReasonSignal {
		t.Errorf("got %+v, %+v, error %v", o.Status, o.Record.Current, o.err)
	}
}
