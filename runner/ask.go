package runner

import (
	"context"
	"errors"

	"idem/ledger"
)

// Ask tells what Run would decide for the call now. It takes nothing and
// writes nothing, so that the answer may be outdated when it arrives. A call
// without a fingerprint has the recorded one, of the very record that decides.
func Ask(ctx context.Context, l ledger.Ledger, c Call) (Result, error) {
	rec, err := l.Get(ctx, c.ID)
	if err != nil {
		return Result{Record: rec}, err
	}
	if c.Fingerprint == "" {
		c.Fingerprint = rec.Current.Fingerprint
	}
	d, err := c.decide(ctx, l, rec, Moment{})
	if err == nil && d.Action == ActionClaim {
		d, err = c.claiming(ctx, l, rec)
	}
	res := Result{Decision: d, Record: rec}
	if err == nil && d.Reason == ReasonExhausted {
		res.Tried, err = tried(ctx, l, rec)
	}
	return res, err
}

// claiming is what a call would do that tried to claim the key now.
func (c *Call) claiming(ctx context.Context, l ledger.Ledger, rec ledger.Record) (Decision, error) {
	held := rec.Phase() == ledger.PhaseRunning
	if !held { // but maybe about to be, or leftovers of a failed attempt are alive
		var err error
		if held, err = busy(ctx, l, c.ID); err != nil {
			return Decision{}, err
		}
	}
	if held {
		return c.busy(rec), nil
	}
	return c.decide(ctx, l, rec, Moment{Holding: true}) // which the claim would let it do
}

// busy reports whether a claim would fail now.
func busy(ctx context.Context, l ledger.Ledger, id ledger.ID) (bool, error) {
	now, cancel := context.WithCancel(ctx)
	cancel()
	err := l.Wait(now, id)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return true, nil
	}
	return false, err
}

// Rehearse finds out what a replay of rec by the call would lack, and fails with a
// *ReplayError where the replay would. It writes nothing. Whether a replay could
// append to its files is not asked.
func Rehearse(ctx context.Context, l ledger.Ledger, c Call, rec ledger.Record) (Lacks, error) {
	stdout, stderr := c.replayed(rec)
	out, lacks, err := c.recorded(ctx, l, rec, stdout != nil, stderr != nil)
	if err != nil {
		return lacks, err
	}
	_ = out.Close()
	_, err = c.additionsOf(ctx, l, rec)
	return lacks, err
}
