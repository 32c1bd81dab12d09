package sqlite

import (
	"context"

	"idem/ledger"
)

// Mutexes is not implemented yet.
func (l *Ledger) Mutexes(ctx context.Context, _ string, _ ...string) ([]ledger.MutexState, error) {
	return nil, ctx.Err()
}
