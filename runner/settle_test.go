package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

func TestMarkChecksTheRecord(t *testing.T) {
	done, failed, retry := Settlement{State: ledger.Succeeded}, Settlement{State: ledger.Failed, ExitCode: 1}, Settlement{}
	bound := func(h Settlement, fingerprint string) Settlement {
		h.Bound, h.Fingerprint = true, fingerprint
		return h
	}
	replace := func(h Settlement) Settlement { h.Replace = true; return h }
	force := func(h Settlement) Settlement { h.Force = true; return h }
	with := func(h Settlement) Settlement { h.Stdout = strings.NewReader("out"); return h }
	exits := func(h Settlement) Settlement { h.ExitCode = 3; return h }
	for _, test := range []struct {
		states []string
		hand   Settlement
		want   error
	}{
		{[]string{"none", "forgotten"}, done, nil},
		{[]string{"none", "forgotten"}, failed, nil},
		{[]string{"none", "forgotten"}, retry, ErrNothing},
		{[]string{"none", "forgotten"}, force(bound(retry, otherInputs)), ErrNothing},
		{[]string{"none", "forgotten"}, bound(done, otherInputs), nil},
		{[]string{"interrupted", "failed", "retry"}, done, nil},
		{[]string{"interrupted", "failed", "retry"}, failed, nil},
		{[]string{"interrupted", "failed", "retry"}, retry, nil},
		{[]string{"interrupted", "failed", "retry"}, bound(done, sameInputs), nil},
		{[]string{"interrupted", "failed", "retry", "succeeded"}, bound(done, otherInputs), ErrInputs},
		{[]string{"interrupted", "failed", "retry", "succeeded"}, force(bound(retry, otherInputs)), ErrInputs},
		{[]string{"interrupted", "failed", "retry"}, replace(bound(done, otherInputs)), nil},
		{[]string{"succeeded"}, done, ErrSame},
		{[]string{"succeeded"}, bound(done, sameInputs), ErrSame},
		{[]string{"succeeded"}, replace(bound(done, otherInputs)), ErrDone},
		{[]string{"succeeded"}, with(done), ErrDone},
		{[]string{"succeeded"}, exits(done), ErrDone},
		{[]string{"succeeded"}, failed, ErrDone},
		{[]string{"succeeded"}, retry, ErrDone},
		{[]string{"succeeded"}, force(done), nil},
		{[]string{"succeeded"}, force(failed), nil},
		{[]string{"succeeded"}, force(replace(bound(retry, otherInputs))), nil},
	} {
		for _, state := range test.states {
			l, id := reach(t, state)
			before, history := seen(t, l, id)
			hand := test.hand
			hand.RunID = "m"
			was, err := Mark(t.Context(), l, id, hand)
			if !errors.Is(err, test.want) || was.Current.RunID != before.Current.RunID {
				t.Errorf("%s, %+v: got %v, want %v", state, hand, err, test.want)
			}
			after, now := seen(t, l, id)
			if changed := len(now) > len(history); changed != (test.want == nil) {
				t.Errorf("%s, %+v: the history is %+v", state, hand, now)
			}
			want := before.Current.Fingerprint
			if hand.Bound && test.want == nil {
				want = hand.Fingerprint
			}
			if after.Current.Fingerprint != want {
				t.Errorf("%s, %+v: the record has the fingerprint %q, want %q", state, hand, after.Current.Fingerprint, want)
			}
		}
	}
}

func TestMarkOfARunningKeyIsBusy(t *testing.T) {
	l, id := reach(t, "running")
	var busy *ledger.BusyError
	if _, err := Mark(t.Context(), l, id, Settlement{State: ledger.Failed, Force: true}); !errors.As(err, &busy) {
		t.Errorf("got %v", err)
	}
}

// A refused mark takes no claim, so it creates no ledger.
func TestRefusedMarkTakesNoClaim(t *testing.T) {
	l, id := reach(t, "none")
	f := &ledgertest.Faulty{Ledger: l}
	_, err := Mark(t.Context(), f, id, Settlement{})
	if !errors.Is(err, ErrNothing) || !slices.Equal(f.Calls(), []string{"Get"}) {
		t.Errorf("got %v after %v", err, f.Calls())
	}
}

// Mark checks the record again after it has the claim.
func TestMarkChecksAgainUnderTheClaim(t *testing.T) {
	k := newKit(t)
	l := &staleLedger{Ledger: k.mem.Open()}
	k.first(k.job())
	if rec, err := Mark(t.Context(), l, k.id, Settlement{State: ledger.Failed, RunID: "m"}); !errors.Is(err, ErrDone) || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %v, %+v", err, rec)
	}
	k.want(k.first(k.job()), Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
}

// A key settled before its first run replays the given output for any call. The first
// execution binds it to inputs.
func TestUnboundUntilItRuns(t *testing.T) {
	k := newKit(t)
	_, err := Mark(t.Context(), k.mem.Open(), k.id, Settlement{State: ledger.Succeeded, RunID: "m", Stdout: strings.NewReader("by hand"), MaxOutput: -1})
	must(t, err)
	k.want(k.first(k.job()), Decision{ActionReplay, ReasonSucceeded}, "by hand", "")
	k.want(k.first(k.call("other")), Decision{ActionReplay, ReasonSucceeded}, "by hand", "")
	forced := k.job()
	forced.Policy.Force = true
	k.want(k.first(forced), Decision{ActionExecute, ReasonForced}, jobOut, jobErr)
	k.want(k.first(k.call("other")), Decision{ActionRefuse, ReasonMismatch}, "", "")
}
