package runner

import (
	"context"
	"testing"
	"time"

	"idem/ledger"
)

// silent is the lease of a holder on another host that lets its command go on.
var silent = &ledger.Lease{Host: "other", Elsewhere: true, Keep: true, Silent: time.Hour, Left: -time.Minute}

// While a command may run on another host for as long as it likes, no policy runs it again,
// asks about it or waits for it.
func TestNoPolicyTakesAKeptKey(t *testing.T) {
	for s := range situations() {
		if s.state != "interrupted" {
			continue
		}
		rec := recordIn(s.state, s.same)
		rec.Lease = silent
		got := Decide(rec, sameInputs, s.policy(), s.moment(false))
		if got.Action != ActionRefuse {
			t.Errorf("%+v: got %v, want %s", s, got, ActionRefuse)
		}
		if d := s.decide(false); d.Action == ActionRefuse && got != d {
			t.Errorf("%+v: got %v, and %v without a lease", s, got, d)
		}
		for name, change := range map[string]func(*ledger.Record, *ledger.Lease){
			"on this host": func(_ *ledger.Record, l *ledger.Lease) { l.Elsewhere = false },
			"not kept":     func(_ *ledger.Record, l *ledger.Lease) { l.Keep = false },
			"valid":        func(r *ledger.Record, _ *ledger.Lease) { r.Alive = true },
		} {
			other, lease := rec, *silent
			other.Lease = &lease
			change(&other, &lease)
			if got := Decide(other, sameInputs, s.policy(), s.moment(false)); got != s.decide(false) {
				t.Errorf("%+v, a lease that is %s: got %v, want %v", s, name, got, s.decide(false))
			}
		}
	}
}

type keptLedger struct {
	ledger.Ledger
	rec ledger.Record
}

func (l keptLedger) Claim(context.Context, ledger.ID) (ledger.Claim, error) {
	return nil, &ledger.KeptError{ID: l.rec.ID, Record: l.rec}
}

// The ledger may know only at the claim that the key is kept.
func TestKeptKeyIsRefusedAtTheClaim(t *testing.T) {
	k := newKit(t)
	rec := ledger.Record{ID: k.id, Lease: silent, Current: ledger.Attempt{Number: 1, RunID: "other", State: ledger.Running}}
	c := k.job()
	c.Wait = Wait{Set: true} // no holder ends this wait
	c.Policy.OnInterrupted = ChoiceRerun
	o := k.run(keptLedger{k.mem.Open(), rec}, c)
	if want := (Decision{ActionRefuse, ReasonInterrupted}); o.err != nil || o.Decision != want || !o.Record.Kept() || k.side() != 0 {
		t.Errorf("got %v, error %v, %d executions, want %v and none", o.Decision, o.err, k.side(), want)
	}
}
