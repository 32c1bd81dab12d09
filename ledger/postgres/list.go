package postgres

import (
	"context"
	"iter"

	"idem/ledger"
)

// List implements ledger.Ledger.
func (l *Ledger) List(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	panic("list")
}

// Attempts implements ledger.Ledger.
func (l *Ledger) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	panic("list")
}
