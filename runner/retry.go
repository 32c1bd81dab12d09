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

// Retry reports whether the call makes another attempt after the one that just ended, and
// how long it must wait before. After the wait, StillDue decides. There is no other attempt
// if a signal killed the command, if the claim could not be kept, or after a signal that was
// meant to end idem. An end that the probe is asked about is left to the next call.
func (t *Task) Retry(ctx context.Context) (wait time.Duration, due bool) {
	wait = t.delay()
	cur := t.result.Record.Current
	if _, stopped := t.Signals.Meant(); stopped || t.result.Unrecorded != nil || t.result.LeaseLost || t.ran > t.Retries.N {
		return 0, false
	}
	if cur.State != ledger.Failed || cur.Reason == ledger.ReasonSignal || t.Policy.final(cur) || t.Policy.doubts(cur) {
		return 0, false
	}
	if len(t.Retries.On) > 0 && !t.Retries.On.Has(cur.ExitCode) {
		return 0, false
	}
	return wait, t.retryAllowed(ctx, wait)
}

// StillDue reports whether the retry may begin now. The wait may have taken longer.
func (t *Task) StillDue(ctx context.Context) bool { return t.retryAllowed(ctx, 0) }

// retryAllowed reports whether the limits of the policy allow another attempt after a
// delay.
func (t *Task) retryAllowed(ctx context.Context, delay time.Duration) bool {
	if !t.Policy.exhausted(t.rec.Attempts) && !t.Policy.tooLate(math.MaxInt64) { // as in decide
		return true
	}
	tried, err := t.tried(ctx, t.rec)
	t.result.NotRetried = err
	return err == nil && !t.Policy.exhausted(len(tried)) && !t.Policy.tooLate(ageOf(tried, t.Now().Add(delay)))
}
