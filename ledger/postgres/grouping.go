package postgres

import (
	"context"
	"sync"
)

// Together implements ledger.Grouping. The session combines what it can.
func (l *Ledger) Together(ctx context.Context, changes ...func(ctx context.Context)) {
	if len(changes) == 0 {
		return
	}
	last := len(changes) - 1
	var wg sync.WaitGroup
	for _, change := range changes[:last] {
		wg.Go(func() { change(ctx) })
	}
	changes[last](ctx)
	wg.Wait()
}
