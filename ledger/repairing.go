package ledger

import "context"

// Repairing is implemented by a ledger that keeps outputs in files, which a person can delete.
// RemoveOutputs records that such an output is gone.
type Repairing interface {
	Collecting

	// GoneOutputs returns the outputs whose files are missing, and how many recorded files are left.
	// It writes nothing. It fails if the directory of the outputs is missing too: then it may be
	// elsewhere, with all outputs. So may they be if no file is left.
	GoneOutputs(ctx context.Context) (gone []StoredOutput, left int, err error)
}
