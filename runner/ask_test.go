package runner

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// Ask returns the decision of a call at the same moment, for every state and policy,
// and writes nothing.
func TestAskReturnsWhatRunDecides(t *testing.T) {
	t.Parallel()
	none := Codes{{1, 1}}
	for _, state := range states {
		for _, policy := range []Policy{
			{},
			{Force: true},
			{OnFailure: ChoiceReplay},
			{OnFailure: ChoiceRefuse},
			{OnInterrupted: ChoiceRerun},
			{OnMismatch: ChoiceRerun},
			{TTL: time.Hour},
			{Fresh: true},
			{Fresh: true, OnFailure: ChoiceReplay, MaxAttempts: 1},
			{TTL: time.Nanosecond},
			{Final: none},
			{MaxAttempts: 1},
			{MaxAttempts: 1, OnInterrupted: ChoiceRerun},
			{MaxAttempts: 1, OnInterrupted: ChoiceRerun, Force: true, Final: none},
			{Probe: true},
			{Probe: true, ProbeFirst: true, OnInterrupted: ChoiceRerun},
		} {
			for _, fingerprint := range []string{sameInputs, otherInputs} {
				k := newKit(t)
				l, id := reach(t, state)
				c := k.call("true")
				c.ID, c.Inputs.Fingerprint, c.Policy = id, fingerprint, policy
				before, history := seen(t, l, id)
				f := &ledgertest.Faulty{Ledger: l}
				d, err := c.ask(t.Context(), f)
				must(t, err)
				if diff := cmp.Diff(before, d.Record); diff != "" {
					t.Errorf("%s: Ask returned another record:\n%s", state, diff)
				}
				for _, call := range f.Calls() {
					if !slices.Contains([]string{"Get", "Wait", "Attempts", "Mutexes", "List"}, call) {
						t.Errorf("%s, %+v: Ask makes the calls %v", state, policy, f.Calls())
					}
				}
				after, later := seen(t, l, id)
				if diff := cmp.Diff(before, after) + cmp.Diff(history, later); diff != "" {
					t.Errorf("%s, %+v: Ask changed the ledger:\n%s", state, policy, diff)
				}
				c.Probe.Command = "exit 2"
				o := k.run(l, c)
				if asked := d.Action == ActionProbe; o.err != nil || (o.Probed != nil) != asked || !asked && (o.Decision != d.Decision || o.Tried != d.Tried) {
					t.Errorf("%s, %s, %+v: asked %v, the call made %v, error %v", state, fingerprint, policy, d.Decision, o.Decision, o.err)
				}
			}
		}
	}
}

func seen(t *testing.T, l ledger.Ledger, id ledger.ID) (ledger.Record, []ledger.Attempt) {
	t.Helper()
	rec, err := l.Get(t.Context(), id)
	must(t, err)
	history, err := l.Attempts(t.Context(), id)
	must(t, err)
	return rec, history
}

// A claimed key is busy in every state of its record.
func TestAskOfAClaimedKey(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"none", "forgotten", "retry", "interrupted", "succeeded", "failed"} {
		k := newKit(t)
		l, id := reach(t, state)
		claim, err := l.Claim(t.Context(), id)
		must(t, err)
		c := k.call("true")
		c.ID, c.Inputs.Fingerprint = id, sameInputs
		for _, c.Policy = range []Policy{{}, {Force: true, OnInterrupted: ChoiceRerun}} {
			d, err := c.ask(t.Context(), l)
			o := k.run(l, c)
			if err != nil || o.err != nil || d.Decision != o.Decision {
				t.Errorf("%s, %+v: asked %v, error %v; the call made %v, error %v", state, c.Policy, d.Decision, err, o.Decision, o.err)
			}
		}
		must(t, claim.Release())
	}
}

func TestAskReturnsLedgerErrors(t *testing.T) {
	t.Parallel()
	for n, state := range map[int]string{1: "none", 2: "failed"} {
		k := newKit(t)
		l, id := reach(t, state)
		c := k.call("true")
		c.ID, c.Inputs.Fingerprint = id, sameInputs
		if d, err := c.ask(t.Context(), &ledgertest.Faulty{Ledger: l, FailAt: n}); !errors.Is(err, ledgertest.ErrFaulty) {
			t.Errorf("%s: got %v, error %v", state, d.Decision, err)
		}
	}
}

// A call without a fingerprint has the inputs of the record.
func TestAskOfTheRecordedInputs(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"none", "forgotten", "retry", "interrupted", "succeeded", "failed"} {
		k := newKit(t)
		l, id := reach(t, state)
		c := k.call("true")
		c.ID, c.Inputs.Fingerprint = id, sameInputs
		want, err := c.ask(t.Context(), l)
		must(t, err)
		c.Inputs.Fingerprint = ""
		got, err := c.ask(t.Context(), l)
		if err != nil || got.Decision != want.Decision {
			t.Errorf("%s: got %v, error %v, want %v", state, got.Decision, err, want.Decision)
		}
	}
}
