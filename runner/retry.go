package runner

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"idem/ledger"
	"idem/proc"
)

// Retries says how often and when one call runs a command again that failed.
type Retries struct {
	N        int
	Delay    time.Duration // before the first; then twice as long each time
	MaxDelay time.Duration
	On       Codes // exit statuses that are worth it; empty: all
}

// delays returns what gives one delay after the other: exponential, with a
// jitter of half of each, so that many callers do not come back in step, and
// none longer than MaxDelay, not even the first.
func (r Retries) delays() func() time.Duration {
	b := &backoff.ExponentialBackOff{
		InitialInterval: min(r.Delay, r.MaxDelay), RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: r.MaxDelay,
	}
	b.Reset()
	return func() time.Duration { return min(b.NextBackOff(), r.MaxDelay) }
}

// again reports whether an attempt that has just ended is followed by another one
// in the same call. A command that was killed by a signal is not run again, nor
// is any after a signal that was meant to end idem.
func (c *Call) again(ctx context.Context, l ledger.Ledger, res Result, retries int, signals *proc.Signals) (bool, error) {
	cur := res.Record.Current
	if _, stopped := signals.Meant(); stopped || res.Unrecorded != nil || retries >= c.Retries.N {
		return false, nil
	}
	if cur.State != ledger.Failed || cur.Reason == ledger.ReasonSignal || c.Policy.final(cur) {
		return false, nil
	}
	if len(c.Retries.On) > 0 && !c.Retries.On.Has(cur.ExitCode) {
		return false, nil
	}
	if c.Policy.Force || !c.Policy.exhausted(res.Record.Attempts) { // as in Decide
		return true, nil
	}
	n, err := tried(ctx, l, res.Record)
	return err == nil && !c.Policy.exhausted(n), err
}
