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
	o := k.first(k.startedCall(""))
	k.want(o, Decision{ActionRefuse, ReasonBusy}, "", "")
	if o.Record.Current.Owner.Host != "here" || o.Record.Phase() != ledger.PhaseRunning {
		t.Errorf("the refusal does not name the owner: %+v", o.Record)
	}
	c := k.startedCall("")
	c.Policy.Force = true
	k.want(k.first(c), Decision{ActionRefuse, ReasonBusy}, "", "") // Force does not apply to a running attempt
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}

// waiter makes a call in the background and returns when it waits.
func (k *kit) waiter(c testCall) chan outcome {
	k.Helper()
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	c.Wait.Set = true
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
		waiters = append(waiters, k.waiter(k.startedCall("")))
	}
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	for _, w := range waiters {
		k.want(<-w, Decision{ActionReplay, ReasonSucceeded}, "out\n", "")
	}
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}

func TestWaitRunsAfterAFailure(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "[ $ATTEMPT = 2 ]")
	w := k.waiter(k.startedCall("[ $ATTEMPT = 2 ]"))
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	k.want(<-w, Decision{ActionExecute, ReasonFailed}, "out\n", "")
	if a := k.attempts(); len(a) != 2 || a[0].ExitCode != 1 || a[1].State != ledger.Succeeded {
		t.Errorf("got the history %+v", a)
	}
}

func TestWaitEndsInInterrupted(t *testing.T) {
	k := newKit(t)
	l := k.mem.Open()
	claim, err := l.Claim(t.Context(), k.id)
	must(t, err)
	_, err = claim.Begin(t.Context(), ledger.Start{RunID: "r", Fingerprint: k.job().Inputs.Fingerprint})
	must(t, err)
	w := k.waiter(k.job())
	k.mem.Crash(l)
	k.want(<-w, Decision{ActionRefuse, ReasonInterrupted}, "", "")

	c := k.job()
	c.Policy.OnInterrupted = ChoiceRerun
	k.want(k.first(c), Decision{ActionExecute, ReasonInterrupted}, jobOut, jobErr)
	if a := k.attempts(); len(a) != 2 || a[0].Reason != ledger.ReasonLost || k.side() != 1 {
		t.Errorf("got the history %+v", a)
	}
}

func TestWaitLimit(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	c := k.startedCall("")
	c.Wait.Set, c.Wait.Limit = true, 20*time.Millisecond
	k.want(k.first(c), Decision{ActionRefuse, ReasonBusy}, "", "")
	goOn()
	<-result
}

func TestWaitEndsWithItsCaller(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	ctx, cancel := context.WithCancel(t.Context())
	f := &ledgertest.Faulty{Ledger: k.mem.Open()}
	c := k.startedCall("")
	c.Wait.Set = true
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
	c := k.startedCall("")
	c.Wait.Set, c.Inside.Attempts = true, []string{k.record().Current.RunID}
	k.want(k.first(c), Decision{ActionRefuse, ReasonRecursive}, "", "")
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "") // not disturbed
}

// While the key runs with other inputs, a call that accepts a mismatch waits.
func TestAcceptedMismatchWaits(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	c := k.job()
	c.Policy.OnMismatch = ChoiceRerun
	k.want(k.first(c), Decision{ActionRefuse, ReasonBusy}, "", "")
	w := k.waiter(c)
	refused := k.job()
	refused.Wait.Set = true
	k.want(k.first(refused), Decision{ActionRefuse, ReasonMismatch}, "", "")
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	k.want(<-w, Decision{ActionExecute, ReasonMismatch}, jobOut, jobErr)
	if k.side() != 2 {
		t.Errorf("the commands ran %d times, want 2", k.side())
	}
}

// A call made inside of a first probe of its key is refused. It would wait for the
// probe, and so for itself.
func TestCallOfItsOwnFirstProbe(t *testing.T) {
	k := newKit(t)
	holder := k.mem.Open()
	claim, err := holder.Claim(t.Context(), k.id)
	must(t, err)
	c := k.job()
	c.Wait.Set, c.Inside.Probe = true, true
	k.want(k.first(c), Decision{ActionRefuse, ReasonRecursive}, "", "")
	if d, err := c.ask(t.Context(), k.mem.Open()); err != nil || d.Decision != (Decision{ActionRefuse, ReasonRecursive}) {
		t.Errorf("asked: got %v, error %v", d.Decision, err)
	}
	must(t, claim.Release())
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr) // after the probe has ended, its leftovers may run the key
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
}

// Waiting.Tell gets the holder of the key. It is called again after each Remind, also
// for another holder.
func TestWaitingTell(t *testing.T) {
	k := newKit(t)
	holder := k.mem.Open()
	claim, err := holder.Claim(t.Context(), k.id)
	must(t, err)
	told := make(chan *ledger.BusyError)
	c := k.job()
	c.Wait.Set, c.Waiting.Remind, c.Policy.OnMismatch, c.Policy.OnInterrupted = true, time.Millisecond, ChoiceRerun, ChoiceRerun
	c.Waiting.Tell = func(b *ledger.BusyError, _ bool) { told <- b }
	result := make(chan outcome, 1)
	go func() { result <- k.first(c) }()
	if b := <-told; b.Record.ID != k.id || b.Record.Phase() != ledger.PhaseNone {
		t.Errorf("first: got %+v", b)
	}
	_, err = claim.Begin(t.Context(), ledger.Start{RunID: "r", Fingerprint: "h1:other"})
	must(t, err)
	for b := range told {
		if b.Record.ID == k.id && b.Record.Current.RunID == "r" {
			break
		}
	}
	k.mem.Crash(holder)
	for {
		select {
		case b := <-told:
			if b.Record.ID != k.id {
				t.Errorf("waited for %v, want %v", b.Record.ID, k.id)
			}
			continue
		case o := <-result:
			k.want(o, Decision{ActionExecute, ReasonInterrupted}, jobOut, jobErr)
		}
		break
	}

	// Without Remind it is called once.
	holder = k.mem.Open()
	claim, err = holder.Claim(t.Context(), k.id)
	must(t, err)
	n := 0
	c.Policy.Force, c.Waiting.Remind, c.Wait.Limit, c.Waiting.Tell = true, 0, 50*time.Millisecond, func(*ledger.BusyError, bool) { n++ }
	k.want(k.first(c), Decision{ActionRefuse, ReasonBusy}, "", "")
	if n != 1 {
		t.Errorf("Tell was called %d times", n)
	}
	must(t, claim.Release())
}

// staleLedger is a ledger whose first Get returns an empty record.
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

// If the key is claimed or settled between Get and Claim, the call decides on the
// current record.
func TestDecisionIsMadeOnTheRecordUnderTheClaim(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.startedCall("")), Decision{ActionRefuse, ReasonBusy}, "", "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.job()), Decision{ActionRefuse, ReasonMismatch}, "", "")
	goOn()
	<-result
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.startedCall("")), Decision{ActionReplay, ReasonSucceeded}, "out\n", "")
	k.want(k.run(&staleLedger{Ledger: k.mem.Open()}, k.job()), Decision{ActionRefuse, ReasonMismatch}, "", "")
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}

func TestManyCallersOneExecution(t *testing.T) {
	k := newKit(t)
	result := make(chan outcome)
	const callers = 30
	for range callers {
		c := k.job()
		c.Wait.Set = true
		go func() { result <- k.first(c) }()
	}
	executed := 0
	for range callers {
		o := <-result
		if o.Action == ActionExecute {
			executed++
		}
		k.want(o, o.Decision, jobOut, jobErr)
	}
	if executed != 1 || k.side() != 1 {
		t.Errorf("%d callers executed, the command ran %d times", executed, k.side())
	}
}
