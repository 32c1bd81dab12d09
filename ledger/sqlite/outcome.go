package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"idem/ledger"
	"idem/ledger/spool"
)

// keepOutput sets the fields of a row that describe its output. safe reports whether the
// output is durable. If it is not, the row has no output.
func (r *attemptRow) keepOutput(sum spool.Summary, safe bool) {
	r.a.OutputBytes, r.a.Truncated = sum.Bytes, sum.Truncated
	switch {
	case r.a.NoOutput:
	case safe && sum.Inline != nil:
		r.storage, r.size, r.sum = storageInline, int64(len(sum.Inline)), sum.Sum
	case safe && sum.Size > 0:
		r.storage, r.size, r.sum = storageFile, sum.Size, sum.Sum
	default:
		r.dropOutput()
	}
}

func (r *attemptRow) dropOutput() {
	if r.a.NoOutput {
		return
	}
	r.storage, r.size, r.sum = storageNone, 0, 0
	r.a.Truncated = r.a.OutputBytes > 0
}

// setRemoved makes the output of the row one that was removed.
func (r *attemptRow) setRemoved(at time.Time) {
	r.storage, r.size, r.sum = storageRemoved, micros(at), 0
	r.a.RemoveOutput(at)
}

// insertOutput stores an inline output. It does nothing for an empty one.
func insertOutput(ctx context.Context, tx querier, r attemptRow, inline []byte) error {
	if len(inline) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, "insert into outputs (attempt, frames) values (?,?)", r.rowid, inline)
	return err
}

// errUnknown: it is unknown whether an outcome was committed.
var errUnknown = errors.New("and the ledger cannot be read back")

// confirmed runs f with write and returns nil if the transaction was committed. After the
// transaction, the stored attempt must be equal to row. When a commit fails, its effect is
// unknown. So confirmed reads the attempt back and compares it with row. It returns
// errUnknown if the attempt cannot be read.
func (l *Ledger) confirmed(ctx context.Context, write func(context.Context, func(querier) error) error, id ledger.ID, row *attemptRow, f func(tx querier) error) error {
	err := write(ctx, f)
	if err == nil {
		return nil
	}
	var stored attemptRow
	db, readErr := l.database(ctx)
	if readErr == nil {
		stored, readErr = attemptOf(ctx, db, id, row.a.RunID)
	}
	switch {
	case readErr == nil && stored.checksum(id) == row.checksum(id):
		return nil // the transaction was committed despite the error
	case readErr == nil, errors.Is(readErr, ledger.ErrNotFound), errors.Is(err, ledger.ErrChanged):
		return err
	default:
		return fmt.Errorf("%w, %w: %w", err, errUnknown, readErr)
	}
}
