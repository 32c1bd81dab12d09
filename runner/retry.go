package runner

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"idem/ledger"
)

// Retries says how often and when one call runs a command again that failed.
type Retries struct {
	N        int
	Delay    time.Duration // before the first; then twice as long each time
	MaxDelay time.Duration
	On       Codes // exit statuses that are worth it; empty: all
}

// delays returns a function that returns one delay after another. They grow
// exponentially up to MaxDelay, which bounds the first too. A jitter of half of each
// keeps many callers from trying at the same moments.
func (r Retries) delays() func() time.Duration {
	b := &backoff.ExponentialBackOff{
		InitialInterval: min(r.Delay, r.MaxDelay), RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: r.MaxDelay,
	}
	b.Reset()
	return func() time.Duration { return min(b.NextBackOff(), r.MaxDelay) }
}

// again reports whether an attempt that has just ended is followed by another one in
// the same call. A command that was killed by a signal is not run again, and no
// command is after a signal that was meant to end idem.
func (x *execution) again(ctx context.Context, res Result, retries int) (bool, error) {
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
	n, err := x.tried(ctx, res.Record)
	return err == nil && !x.Policy.exhausted(n), err
}
