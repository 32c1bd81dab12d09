package runner

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

func TestDuplicateIsRefusedAtOnce(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	o := k.first(k.again(""))
	k.want(o, Decision{Refuse, Busy}, "", "")
	if o.Record.Current.Owner.Host != "here" || o.Record.Phase() != ledger.PhaseRunning {
		t.Errorf("the refusal does not say who runs it: %+v", o.Record)
	}
	c := k.again("")
	c.Policy.Force = true
	k.want(k.first(c), Decision{Refuse, Busy}, "", "") // force is for what has ended
	goOn()
	k.want(<-result, Decision{Execute, NeverRun}, "out\n", "")
	if k.side() != 1 {
		t.Errorf("the command ran %d times", k.side())
	}
}

// waiter makes a call that waits, and returns when it does.
func (k *kit) waiter(c Call) chan outcome {
	k.Helper()
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	c.Wait = true
	result := make(chan outcome, 1)
	go func() { result <- k.run(f, c) }()
	k.until("the wait", func() bool { return slices.Contains(f.Calls(), "Wait") })
	return result
}

func TestWaitSharesASuccess(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	var waiters []chan outcome
	for range 5 {
		waiters = append(waiters, k.waiter(k.again("")))
	}
	goOn()
	k.want(<-result, Decision{Execute, NeverRun}, "out\n", "")
	for _, w := range waiters {
		k.want(<-w, Decision{Replay, Succeeded}, "out\n", "")
	}
	if k.side() != 1 {
		t.Errorf("the command ran %d times", k.side())
	}
}

func TestWaitTakesAFailureOver(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "[ $ATTEMPT = 2 ]")
	w := k.waiter(k.again("[ $ATTEMPT = 2 ]"))
	goOn()
	k.want(<-result, Decision{Execute, NeverRun}, "out\n", "")
	k.want(<-w, Decision{Execute, FailedIt}, "out\n", "")
	if a := k.attempts(); len(a) != 2 || a[0].ExitCode != 1 || a[1].State != ledger.Succeeded {
		t.Errorf("got the history %+v", a)
	}
}

func TestWaitEndsInInterrupted(t *testing.T) {
	k := newKit(t)
	l := k.mem.Open()
	claim, err := l.Claim(t.Context(), k.id)
	must(t, err)
	_, err = claim.Begin(t.Context(), ledger.Start{RunID: "r", Fingerprint: k.job().Fingerprint})
	must(t, err)
	w := k.waiter(k.job())
	k.mem.Crash(l)
	k.want(<-w, Decision{Refuse, Interrupted}, "", "")

	c := k.job()
	c.Policy.OnInterrupted = Rerun
	k.want(k.first(c), Decision{Execute, Interrupted}, jobOut, jobErr)
	if a := k.attempts(); len(a) != 2 || a[0].Reason != ledger.ReasonLost || k.side() != 1 {
		t.Errorf("got the history %+v", a)
	}
}

func TestWaitIsOverAtItsTime(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	c := k.again("")
	c.Wait, c.WaitFor = true, 20*time.Millisecond
	k.want(k.first(c), Decision{Refuse, Busy}, "", "")
	goOn()
	<-result
}

func TestWaitEndsWithItsCaller(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	ctx, cancel := context.WithCancel(t.Context())
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	c := k.again("")
	c.Wait = true
	w := make(chan outcome, 1)
	go func() { w <- k.runContext(ctx, f, c) }()
	k.until("the wait", func() bool { return slices.Contains(f.Calls(), "Wait") })
	cancel()
	if o := <-w; !errors.Is(o.err, context.Canceled) {
		t.Errorf("got %v, error %v", o.Decision, o.err)
	}
	goOn()
	<-result
}

func TestKeyInsideItselfIsRefusedAndNeverWaits(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	c := k.again("")
	c.Wait, c.Policy.Around = true, []string{k.record().Current.RunID}
	k.want(k.first(c), Decision{Refuse, Recursive}, "", "")
	goOn()
	k.want(<-result, Decision{Execute, NeverRun}, "out\n", "") // not disturbed
}

// staleLedger answers the first Get from before anything was recorded.
type staleLedger struct {
	ledger.Ledger
	asked bool
}

func (l *staleLedger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	if !l.asked {
		l.asked = true
		return ledger.Record{ID: id, Generation: 1}, nil
	}
	return l.Ledger.Get(ctx, id)
}

// Between our look and our claim the key was claimed, or settled: what is
// decided is decided on what is so now.
func TestDecisionIsMadeOnTheRecordUnderTheClaim(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.again("")), Decision{Refuse, Busy}, "", "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.job()), Decision{Refuse, Mismatch}, "", "")
	goOn()
	<-result
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.again("")), Decision{Replay, Succeeded}, "out\n", "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.job()), Decision{Refuse, Mismatch}, "", "")
	if k.side() != 1 {
		t.Errorf("the command ran %d times", k.side())
	}
}

func TestManyCallersOneExecution(t *testing.T) {
	k := newKit(t)
	result := make(chan outcome)
	const callers = 30
	for range callers {
		c := k.job()
		c.Wait = true
		go func() { result <- k.first(c) }()
	}
	executed := 0
	for range callers {
		o := <-result
		if o.Action == Execute {
			executed++
		}
		k.want(o, o.Decision, jobOut, jobErr)
	}
	if executed != 1 || k.side() != 1 {
		t.Errorf("%d callers executed, the command ran %d times", executed, k.side())
	}
}
