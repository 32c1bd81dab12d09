// Package poll waits for something that does not announce itself.
package poll

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Until calls done until it returns true or an error, or until ctx ends. The pauses grow from
// first to most. They are spread at random, so that callers do not look together. The error is
// that of done or of ctx.
func Until(ctx context.Context, first, most time.Duration, done func() (bool, error)) error {
	b := &backoff.ExponentialBackOff{InitialInterval: first, Multiplier: 1.5, RandomizationFactor: 0.5, MaxInterval: most}
	b.Reset()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(b.NextBackOff()):
		}
	}
}
