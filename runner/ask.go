package runner

import (
	"context"
	"errors"

	"idem/ledger"
)

// Ask returns what Run would decide for the call now. It takes no claim and writes
// nothing, so the answer may be outdated when it arrives. If the call has no
// fingerprint, Ask uses that of the record. It needs only Ledger and Now of the
// Runner.
func (r *Runner) Ask(ctx context.Context, asked Call) (Result, error) {
	c := &call{Runner: r, Call: &asked}
	rec, err := c.Ledger.Get(ctx, c.ID)
	if err != nil {
		return Result{Record: rec}, err
	}
	if c.Inputs.Fingerprint == "" {
		c.Inputs.Fingerprint = rec.Current.Fingerprint
	}
	c.asked = askedOn(rec)
	d, err := c.decide(ctx, rec, Moment{})
	if err == nil && d.Action == ActionClaim {
		d, err = c.decideWithClaim(ctx, rec)
	}
	res := Result{Decision: d, Record: rec}
	if err == nil && d.Reason == ReasonExhausted {
		res.Tried, err = c.countTried(ctx, rec)
	}
	return res, err
}

// decideWithClaim returns the decision of a call that tried to claim the key now.
func (c *call) decideWithClaim(ctx context.Context, rec ledger.Record) (Decision, error) {
	held := rec.Phase() == ledger.PhaseRunning
	if !held { // the claim may be taken before a start, or by leftovers of a failed attempt
		var err error
		if held, err = c.keyHeld(ctx); err != nil {
			return Decision{}, err
		}
	}
	if held {
		return c.busy(rec), nil
	}
	return c.decide(ctx, rec, Moment{Holding: true}) // as if the claim had succeeded
}

// keyHeld reports whether a claim would fail now.
func (c *call) keyHeld(ctx context.Context) (bool, error) {
	now, cancel := context.WithCancel(ctx)
	cancel()
	err := c.Ledger.Wait(now, c.ID)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return true, nil
	}
	return false, err
}

// Rehearse returns what a replay of rec by the call would lack. It fails with a
// *ReplayError where the replay would. It writes nothing, so it cannot find out
// whether a replay could append to its files. It needs only Ledger and Replayed
// of the Runner.
func (r *Runner) Rehearse(ctx context.Context, asked Call, rec ledger.Record) (Lacks, error) {
	c := &call{Runner: r, Call: &asked}
	stdout, stderr := c.replayStreams(rec)
	out, lacks, err := c.openOutput(ctx, rec, stdout != nil, stderr != nil)
	if err != nil {
		return lacks, err
	}
	_ = out.Close()
	_, err = c.additionsOf(ctx, rec)
	return lacks, err
}
