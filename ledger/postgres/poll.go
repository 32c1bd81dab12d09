package postgres

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// poll calls done at growing intervals until it returns true or an error, or until ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	b := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, Multiplier: 1.5, RandomizationFactor: 0.5, MaxInterval: time.Second,
	}
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
