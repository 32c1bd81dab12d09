package postgres

import (
	"context"

	"idem/ledger"
)

// Mark implements ledger.Claim.
func (c *claim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) { panic("mark") }
