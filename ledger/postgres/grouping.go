package postgres

import (
	"context"

	"idem/ledger"
)

// Together implements ledger.Grouping. Changes that are one statement each go to the server as
// one statement. Other changes take turns.
func (l *Ledger) Together(ctx context.Context, changes ...func(ctx context.Context)) {
	l.session.Together(ctx, changes...)
}

var (
	_ ledger.Grouping  = (*Ledger)(nil)
	_ ledger.Surveying = (*Ledger)(nil)
)
