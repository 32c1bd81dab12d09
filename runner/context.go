package runner

import (
	"context"
	"time"
)

// withLimit returns a context that also ends after limit. A limit of 0 is none.
func withLimit(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// withDone returns a context that also ends when done is closed. If done is closed
// already, the context has ended. A nil done is never closed.
func withDone(ctx context.Context, done <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	select {
	case <-done:
		cancel()
		return ctx, cancel
	default:
	}
	if done != nil {
		go func() {
			select {
			case <-done:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
