package runner

import (
	"context"
	"math"
	"time"

	"github.com/cenkalti/backoff/v5"

	"idem/ledger"
)

// Retries says how often and when a call runs a failed command again.
type Retries struct {
	N        int           // the maximum number of retries in one call
	Delay    time.Duration // before the first retry; it doubles each time
	MaxDelay time.Duration
	On       Codes // exit statuses to retry; empty: all
}

// delays returns a function that returns the next delay. Delays grow exponentially
// up to MaxDelay, which also bounds the first. Each varies at random by up to half, so
// that many callers do not retry at the same moments.
func (r Retries) delays() func() time.Duration {
	b := &backoff.ExponentialBackOff{
		InitialInterval: min(r.Delay, r.MaxDelay), RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: r.MaxDelay,
	}
	b.Reset()
	return func() time.Duration { return min(b.NextBackOff(), r.MaxDelay) }
}

// retryDue reports whether the call makes another attempt, after a delay, after the one
// that just ended. It makes none if a signal killed the command, or after a signal that was
// meant to end idem. An end that the probe is asked about is left to the next call.
func (x *execution) retryDue(ctx context.Context, res Result, retries int, delay time.Duration) (bool, error) {
	cur := res.Record.Current
	if _, stopped := x.signals.Meant(); stopped || res.Unrecorded != nil || retries >= x.Retries.N {
		return false, nil
	}
	if cur.State != ledger.Failed || cur.Reason == ledger.ReasonSignal || x.Policy.final(cur) || x.Policy.doubts(cur) {
		return false, nil
	}
	if len(x.Retries.On) > 0 && !x.Retries.On.Has(cur.ExitCode) {
		return false, nil
	}
	return x.retryAllowed(ctx, res.Record, delay)
}

// retryAllowed reports whether the limits of the policy allow another attempt after a
// delay.
func (x *execution) retryAllowed(ctx context.Context, rec ledger.Record, delay time.Duration) (bool, error) {
	if !x.Policy.exhausted(rec.Attempts) && !x.Policy.tooLate(math.MaxInt64) { // as in decide
		return true, nil
	}
	tried, err := x.tried(ctx, rec)
	return err == nil && !x.Policy.exhausted(len(tried)) && !x.Policy.tooLate(ageOf(tried, x.Now().Add(delay))), err
}
