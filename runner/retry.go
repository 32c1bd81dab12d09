package runner

import (
	"context"
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

// retryDue reports whether the call makes another attempt after the one that just ended.
// It makes none if a signal killed the command, or after a signal that was meant to
// end idem.
func (x *execution) retryDue(ctx context.Context, res Result, retries int) (bool, error) {
	cur := res.Record.Current
	if _, stopped := x.signals.Meant(); stopped || res.Unrecorded != nil || retries >= x.Retries.N {
		return false, nil
	}
	if cur.State != ledger.Failed || cur.Reason == ledger.ReasonSignal || x.Policy.final(cur) {
		return false, nil
	}
	if len(x.Retries.On) > 0 && !x.Retries.On.Has(cur.ExitCode) {
		return false, nil
	}
	if x.Policy.Force || !x.Policy.exhausted(res.Record.Attempts) { // as in Decide
		return true, nil
	}
	n, err := x.countTried(ctx, res.Record)
	return err == nil && !x.Policy.exhausted(n), err
}
