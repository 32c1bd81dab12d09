package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// freshLedger makes random changes to one key, as calls, marks and crashes make them, and
// knows which attempts began after a moment.
type freshLedger struct {
	*testing.T
	mem   *ledgertest.Mem
	id    ledger.ID
	began map[string]int // by run id: the step in which the attempt began
	step  int

	holder ledger.Ledger // of the claim; nil if it is free
	claim  ledger.Claim
	run    ledger.Execution
	log    []string
}

func (f *freshLedger) record() ledger.Record {
	r, err := f.mem.Open().Get(context.Background(), f.id)
	must(f.T, err)
	return r
}

// change makes one change that is possible now.
func (f *freshLedger) change(rng *rand.Rand) {
	f.step++
	ctx := context.Background()
	id := fmt.Sprintf("r%d", f.step)
	what := []string{"begin", "begin", "finish", "fail", "abandon", "release", "crash", "mark", "forget"}[rng.IntN(9)]
	f.log = append(f.log, what)
	switch {
	case what == "begin" && f.run == nil:
		if f.claim == nil {
			f.holder = f.mem.Open()
			var err error
			f.claim, err = f.holder.Claim(ctx, f.id)
			must(f.T, err)
		}
		var err error
		f.run, err = f.claim.Begin(ctx, ledger.Start{RunID: id, Fingerprint: sameInputs})
		must(f.T, err)
		f.began[id] = f.step
	case (what == "finish" || what == "fail") && f.run != nil:
		o := ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
		if what == "fail" {
			o.State, o.ExitCode = ledger.Failed, 3
		}
		_, err := f.run.Finish(ctx, o)
		must(f.T, err)
		f.run = nil
	case what == "abandon" && f.run != nil:
		must(f.T, f.run.Abandon(ctx))
		f.run = nil
	case what == "release" && f.run == nil && f.claim != nil:
		must(f.T, f.claim.Release())
		f.claim = nil
	case what == "crash" && f.claim != nil:
		f.mem.Crash(f.holder)
		f.claim, f.run = nil, nil
	case what == "mark" && f.claim == nil:
		state := []ledger.State{ledger.Succeeded, ledger.Failed, ledger.None}[rng.IntN(3)]
		_, _ = Mark(ctx, f.mem.Open(), f.id, Settlement{State: state, RunID: id, Force: true})
	case what == "forget" && f.claim == nil:
		_ = f.mem.Open().Forget(ctx, f.id)
	default:
		f.log = f.log[:len(f.log)-1]
	}
}

// For every order of attempts, abandoned attempts, marks, crashes and forgets, Baseline.before
// is whether the current attempt began after the record was read. No clock is involved.
func TestAskedBeforeIsTheOrderOfBegins(t *testing.T) {
	both := map[bool]int{}
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		f := &freshLedger{T: t, mem: ledgertest.NewMem(), id: ledger.ID{Namespace: "default", Key: "k"}, began: map[string]int{}}
		for range rng.IntN(8) {
			f.change(rng)
		}
		base, at := baselineOf(f.record()), f.step
		f.log = append(f.log, "ASKED")
		for range 8 {
			f.change(rng)
			rec := f.record()
			want := f.began[rec.Current.RunID] > at
			both[want]++
			if got := base.before(rec); got != want {
				t.Fatalf("seed %d, %v: got %t, want %t for %+v, called on %+v", seed, f.log, got, want, rec, base)
			}
		}
	}
	if both[true] < 1000 || both[false] < 1000 {
		t.Errorf("got %v, want both results", both)
	}
}

// After a run, one more run follows for all calls that came during it.
func TestFreshRunsOnceMoreForAllThatWait(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "")
	shared := k.waiter(k.startedCall(""))
	var waiters []chan outcome
	for range 10 {
		c := k.startedCall("")
		c.Policy.Fresh = true
		waiters = append(waiters, k.waiter(c))
	}
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	executed := 0
	for _, w := range waiters {
		o := <-w
		if o.Action == ActionExecute {
			executed++
			k.want(o, Decision{ActionExecute, ReasonStale}, "out\n", "")
			continue
		}
		k.want(o, Decision{ActionReplay, ReasonSucceeded}, "out\n", "")
		if o.Record.Current.Number != 2 {
			t.Errorf("a call replayed attempt %d, want 2", o.Record.Current.Number)
		}
	}
	if o := <-shared; o.Action != ActionReplay {
		t.Errorf("the call without Fresh: got %v, want a replay", o.Decision)
	}
	if executed != 1 || k.side() != 2 {
		t.Errorf("%d of the calls executed, the command ran %d times; want 1 and 2", executed, k.side())
	}
}

// A failure is taken over by the next call that waits, as without Fresh.
func TestFreshRunsAfterAFreshFailure(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "[ $ATTEMPT != 2 ]")
	c := k.startedCall("[ $ATTEMPT != 2 ]")
	c.Policy.Fresh = true
	first, second, third := k.waiter(c), k.waiter(c), k.waiter(c)
	goOn()
	k.want(<-result, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	got := map[Decision]int{}
	for _, w := range []chan outcome{first, second, third} {
		o := <-w
		got[o.Decision]++
	}
	want := map[Decision]int{{ActionExecute, ReasonStale}: 1, {ActionExecute, ReasonFailed}: 1, {ActionReplay, ReasonSucceeded}: 1}
	if fmt.Sprint(got) != fmt.Sprint(want) || k.side() != 3 {
		t.Errorf("got %v and %d runs, want %v and 3", got, k.side(), want)
	}
}

// A probe that finds an interrupted attempt done settles it. It began before the call, so
// the command runs nevertheless.
func TestFreshRunsAfterAProbeThatFoundItDone(t *testing.T) {
	k := newKit(t)
	l := k.mem.Open()
	claim, err := l.Claim(t.Context(), k.id)
	must(t, err)
	c := k.job()
	_, err = claim.Begin(t.Context(), ledger.Start{RunID: "r", Fingerprint: c.Inputs.Fingerprint})
	must(t, err)
	k.mem.Crash(l)
	c.Policy.Fresh, c.Policy.Probe, c.Probe.Command = true, true, "exit 0"
	o := k.first(c)
	k.want(o, Decision{ActionExecute, ReasonStale}, jobOut, jobErr)
	history := k.attempts()
	if len(history) != 3 || history[1].Reason != ledger.ReasonProbed || history[2].Number != 2 || o.Probed == nil {
		t.Errorf("got the history %+v, want a lost attempt, the word of the probe and attempt 2", history)
	}
}

// The call is refused where it would be without Fresh.
func TestFreshKeepsRefusals(t *testing.T) {
	k := newKit(t)
	k.write("exit", "3")
	k.first(k.job())
	for name, c := range map[string]struct {
		policy Policy
		want   Decision
	}{
		"on-failure refuse": {Policy{OnFailure: ChoiceRefuse}, Decision{ActionRefuse, ReasonFailed}},
		"max-attempts":      {Policy{OnFailure: ChoiceReplay, MaxAttempts: 1}, Decision{ActionRefuse, ReasonExhausted}},
		"final":             {Policy{Final: Codes{{3, 3}}, MaxAttempts: 1}, Decision{ActionRefuse, ReasonExhausted}},
	} {
		call := k.job()
		call.Policy = c.policy
		call.Policy.Fresh = true
		if o := k.first(call); o.Decision != c.want {
			t.Errorf("%s: got %v, want %v", name, o.Decision, c.want)
		}
	}
	other := k.call("true")
	other.Policy.Fresh = true
	k.want(k.first(other), Decision{ActionRefuse, ReasonMismatch}, "", "")
	if k.side() != 1 {
		t.Errorf("the command ran %d times, want 1", k.side())
	}
}
