package postgres

import (
	"context"

	"idem/ledger"
)

// Forget implements ledger.Ledger.
func (l *Ledger) Forget(ctx context.Context, id ledger.ID) error { panic("forget") }

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(ctx context.Context, was ledger.Record) error { panic("forget") }
