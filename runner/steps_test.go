package runner

import (
	"errors"
	"slices"
	"testing"
	"time"

	"idem/ledger"
)

// A step of every attempt is executed if its record is from another attempt of the parent.
// If the record is from this attempt, it is decided like any other step.
func TestEveryAttemptRunsOnceInEachAttempt(t *testing.T) {
	for s := range situations() {
		if s.repeats() {
			continue
		}
		p, rec := s.policy(), s.record()
		p.EveryAttempt = true
		rec.Current.ParentRun = "parent-1"
		for _, holding := range bools {
			m := s.moment(holding)
			m.ParentRun = "parent-1"
			if got, want := Decide(rec, sameInputs, p, m), s.decide(holding); got != want {
				t.Fatalf("%+v, in the same attempt: got %v, want %v", s, got, want)
			}
			m.ParentRun = "parent-2"
			want := Decision{ActionExecute, ReasonNewAttempt}
			switch {
			case slices.Contains(fresh, s.state), slices.Contains(open, s.state) && s.nested:
				want = s.decide(holding)
			case !holding && slices.Contains(open, s.state):
				want = Decision{ActionClaim, ReasonBusy}
			case !holding:
				want = Decision{ActionClaim, ReasonNewAttempt}
			}
			if got := Decide(rec, sameInputs, p, m); got != want {
				t.Fatalf("%+v, holding %v, in another attempt: got %v, want %v", s, holding, got, want)
			}
		}
	}
}

// No policy runs or replays a batch.
func TestBatchIsNeverRun(t *testing.T) {
	want := Decision{ActionRefuse, ReasonBatch}
	for s := range situations() {
		if s.state != "succeeded" {
			continue
		}
		rec := s.record()
		rec.Current.State, rec.Current.Number = ledger.Batch, 0
		for _, holding := range bools {
			if got := Decide(rec, sameInputs, s.policy(), s.moment(holding)); got != want {
				t.Fatalf("%+v, holding %v: got %v, want %v", s, holding, got, want)
			}
		}
	}
}

// steps is a kit with a step below the key of the kit.
type steps struct{ *kit }

func (k steps) step() testCall {
	c := k.shell(`echo y >>steps; echo $GENERATION`)
	c.ID.Key += "/step"
	c.Origin = ledger.Origin{Parent: k.id}
	return c
}

// Exactly the executions that begin a new operation forget the steps of the key.
func TestRenewal(t *testing.T) {
	const fails, works = "exit 1", "exit 0"
	for _, c := range []struct {
		name   string
		first  string // the command before the step
		change func(*testCall)
		before func(*testing.T, *kit)
		reason Reason
		renews bool
	}{
		{"after a failure", fails, func(*testCall) {}, nil, ReasonFailed, false},
		{"--force after a failure", fails, func(c *testCall) { c.Policy.Force = true }, nil, ReasonForced, true},
		{"--force after a success", works, func(c *testCall) { c.Policy.Force = true }, nil, ReasonForced, true},
		{"--ttl", works, func(c *testCall) { c.Policy.TTL = time.Nanosecond }, nil, ReasonExpired, true},
		{"--wait=fresh", works, func(c *testCall) { c.Policy.Fresh = true }, nil, ReasonStale, true},
		{"other inputs", fails, func(c *testCall) { c.Policy.OnMismatch, c.Inputs.Fingerprint = ChoiceRerun, "h1:other" }, nil, ReasonMismatch, true},
		{"a verification", works, func(c *testCall) { c.Policy.Verify, c.Verification.Command = true, "exit 1" }, nil, ReasonUnverified, true},
		{"a retry of a failure", fails, func(*testCall) {}, marked(ledger.None), ReasonRetry, false},
		{"a retry of a success", works, func(*testCall) {}, marked(ledger.None), ReasonRetry, true},
		{"a mark of failure", works, func(*testCall) {}, marked(ledger.Failed), ReasonFailed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := steps{newKit(t)}
			k.first(k.shell(c.first))
			k.want(k.first(k.step()), Decision{ActionExecute, ReasonNeverRun}, "1\n", "")
			if c.before != nil {
				c.before(t, k.kit)
			}
			again := k.shell(c.first)
			c.change(&again)
			if o := k.first(again); o.err != nil || o.Decision != (Decision{ActionExecute, c.reason}) {
				t.Fatalf("got %v, %v, want an execution because of %s", o.Decision, o.err, c.reason)
			}
			got := k.first(k.step())
			if want := map[bool]Reason{true: ReasonNeverRun, false: ReasonSucceeded}[c.renews]; got.err != nil || got.Reason != want {
				t.Fatalf("the step: got %v, %v, want %s", got.Decision, got.err, want)
			}
			if fresh := got.out != "1\n"; fresh != c.renews {
				t.Errorf("the generation of the step: got %s, want another one: %v", got.out, c.renews)
			}
		})
	}
}

func marked(state ledger.State) func(*testing.T, *kit) {
	return func(t *testing.T, k *kit) {
		t.Helper()
		_, err := Mark(t.Context(), k.mem.Open(), k.id, Settlement{State: state, ExitCode: 1, RunID: "mark", Force: true})
		must(t, err)
	}
}

// While a step of the earlier operation is held, no new one begins.
func TestRenewalWaitsForHeldSteps(t *testing.T) {
	k := steps{newKit(t)}
	k.first(k.shell(`exit 1`))
	result, goOn := make(chan outcome, 1), func() { k.write("go", "") }
	held := k.startedCall("")
	held.ID.Key += "/held"
	held.Origin = ledger.Origin{Parent: k.id}
	go func() { result <- k.first(held) }()
	k.until("the start", func() bool { return k.side() > 0 })
	again := k.shell(`exit 1`)
	again.Policy.Force = true
	var busy *ledger.BusyError
	if o := k.first(again); !errors.As(o.err, &busy) || busy.ID != held.ID {
		t.Errorf("got %v, %v, want that the step is busy", o.Decision, o.err)
	}
	goOn()
	<-result
	if o := k.first(again); o.err != nil || o.Reason != ReasonForced {
		t.Errorf("got %v, %v, want an execution", o.Decision, o.err)
	}
}

// A value that a script reads is exact or refused.
func TestValuesAreExact(t *testing.T) {
	k := newKit(t)
	c := k.shell(`echo value; echo long text >&2`)
	c.Output.Max = 3
	k.first(c)
	c.Replay.Value = true
	var inexact *InexactError
	o := k.first(c)
	if !errors.As(o.err, &inexact) || !inexact.Lacks.Stdout || inexact.Lacks.Stderr || o.out+o.errOut != "" {
		t.Errorf("got %v, stdout %q, stderr %q, want an InexactError of stdout and no output", o.err, o.out, o.errOut)
	}
}
