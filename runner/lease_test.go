package runner

import (
	"context"
	"errors"
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

type releasedClaim struct{ ledger.Claim }

func (c releasedClaim) Record(ctx context.Context) (ledger.Record, error) {
	rec, err := c.Claim.Record(ctx)
	rec.Lease = nil
	return rec, err
}

// silentLedger has a silent holder until a call takes its claim.
type silentLedger struct{ ledger.Ledger }

func (l silentLedger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	rec, err := l.Ledger.Get(ctx, id)
	rec.Lease = &ledger.Lease{Host: "other", Elsewhere: true, Left: -time.Minute}
	return rec, err
}

func (l silentLedger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.Ledger.Claim(ctx, id)
	return releasedClaim{c}, err
}

// A refusal names the holder that was silent, although the claim has ended its lease.
func TestRefusalKnowsTheSilentHolder(t *testing.T) {
	k := newKit(t)
	c := k.job()
	claim, err := k.mem.Open().Claim(k.Context(), k.id)
	must(t, err)
	_, err = claim.Begin(k.Context(), ledger.Start{RunID: "other", Fingerprint: c.Inputs.Fingerprint})
	must(t, err)
	must(t, claim.Release())
	o := k.run(silentLedger{k.mem.Open()}, c)
	if want := (Decision{ActionRefuse, ReasonInterrupted}); o.err != nil || o.Decision != want || o.Record.Lease == nil || o.Record.Lease.Host != "other" {
		t.Errorf("got %v, lease %+v, error %v, want %v and the lease of the holder", o.Decision, o.Record.Lease, o.err, want)
	}
}

// overridingLedger keeps the key until a person takes it.
type overridingLedger struct{ keptLedger }

func (l overridingLedger) ClaimSettling(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	return l.Ledger.Claim(ctx, id)
}

// A mark by hand takes a key that no policy takes.
func TestMarkTakesAKeptKey(t *testing.T) {
	k := newKit(t)
	kept := keptLedger{k.mem.Open(), ledger.Record{ID: k.id, Lease: silent}}
	done := Settlement{State: ledger.Succeeded, RunID: "mark"}
	var want *ledger.KeptError
	if _, err := Mark(k.Context(), kept, k.id, done); !errors.As(err, &want) {
		t.Errorf("a ledger that overrides nothing: got error %v, want a KeptError", err)
	}
	if _, err := Mark(k.Context(), overridingLedger{kept}, k.id, done); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	rec, err := k.mem.Open().Get(k.Context(), k.id)
	if err != nil || rec.Current.State != ledger.Succeeded {
		t.Errorf("got %+v, error %v, want a success", rec, err)
	}
}

// The claim is lost before the command starts, in a hook for example.
func TestNothingStartsWithoutTheLease(t *testing.T) {
	k := newKit(t)
	l := lostLedger{k.mem.Open(), make(chan struct{})}
	close(l.lost)
	o := k.run(l, k.job())
	if !errors.Is(o.err, ledger.ErrTooLate) || k.side() != 0 {
		t.Errorf("got error %v and %d executions, want %v and none", o.err, k.side(), ledger.ErrTooLate)
	}
}
