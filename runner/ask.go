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
	res := Result{Record: rec}
	res.Decision, err = c.decide(ctx, rec, Moment{})
	if err == nil && res.Action == ActionClaim {
		res, err = c.decideWithClaim(ctx, rec)
	}
	if err == nil && res.Reason == ReasonExhausted {
		res.Tried, err = c.countTried(ctx, rec)
	}
	return res, err
}

// decideWithClaim returns the decision of a call that tried to claim the key and to take
// its mutexes now.
func (c *call) decideWithClaim(ctx context.Context, rec ledger.Record) (Result, error) {
	held := rec.Phase() == ledger.PhaseRunning
	if !held { // the claim may be taken before a start, or by leftovers of a failed attempt
		var err error
		if held, err = c.keyHeld(ctx); err != nil {
			return Result{}, err
		}
	}
	if held {
		return c.busy(ctx, rec)
	}
	res, m := Result{Record: rec}, Moment{Holding: true} // as if the claim had succeeded
	var err error
	res.Decision, err = c.decide(ctx, rec, m)
	if err != nil || res.Action != ActionExecute || len(c.Mutexes) == 0 {
		return res, err
	}
	states, err := c.Ledger.Mutexes(ctx, c.ID.Namespace)
	if err != nil {
		return res, err
	}
	m.Mutexes, res.Mutex = c.mutexesIn(states)
	res.Decision, err = c.decide(ctx, rec, m)
	return res, err
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
