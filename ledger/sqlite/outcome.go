package sqlite

import (
	"context"
	"errors"
	"fmt"

	"idem/ledger"
	"idem/ledger/spool"
)

// keepOutput says in a row where its output is: nowhere, unless it is safe.
func (r *attemptRow) keepOutput(sum spool.Summary, safe bool) {
	r.a.OutputBytes, r.a.Truncated = sum.Bytes, sum.Truncated
	switch {
	case r.a.NoOutput:
	case safe && sum.Inline != nil:
		r.place, r.size, r.sum = placeInline, int64(len(sum.Inline)), sum.Sum
	case safe && sum.Size > 0:
		r.place, r.size, r.sum = placeFile, sum.Size, sum.Sum
	default:
		r.dropOutput()
	}
}

func (r *attemptRow) dropOutput() {
	if r.a.NoOutput {
		return
	}
	r.place, r.size, r.sum = placeNone, 0, 0
	r.a.Truncated = r.a.OutputBytes > 0
}

// insertOutput stores an output that is not in a file.
func insertOutput(ctx context.Context, tx querier, r attemptRow, inline []byte) error {
	if len(inline) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, "insert into outputs (attempt, frames) values (?,?)", r.rowid, inline)
	return err
}

// errUnknown: nobody can say whether an outcome was committed.
var errUnknown = errors.New("and the ledger cannot be read back")

// confirmed runs one transaction by write, which leaves row as it is when the
// transaction ends. When the commit fails, what it did is unknown: the row is
// read back and decides.
func (l *Ledger) confirmed(ctx context.Context, write func(context.Context, func(querier) error) error, id ledger.ID, row *attemptRow, f func(tx querier) error) error {
	err := write(ctx, f)
	if err == nil {
		return nil
	}
	var now attemptRow
	db, readErr := l.database(ctx)
	if readErr == nil {
		now, readErr = attemptOf(ctx, db, id, row.a.RunID)
	}
	switch {
	case readErr == nil && now.checksum(id) == row.checksum(id):
		return nil // it was done all the same
	case readErr == nil, errors.Is(readErr, ledger.ErrNotFound), errors.Is(err, ledger.ErrChanged):
		return err
	default:
		return fmt.Errorf("%w, %w: %w", err, errUnknown, readErr)
	}
}
