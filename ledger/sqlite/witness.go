package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"idem/ledger"
	"idem/ledger/filelock"
)

// If the -wal is missing, truncated or damaged, SQLite silently drops the commits in
// it. Restoring an older ledger.db has the same effect. The keys of these commits
// would run again. Therefore the ledger counts its commits, and a witness in another
// file says how many there have been at least. A ledger with fewer commits is damaged.
//
// The witness is written after each commit and is not synced. After a power cut, the file
// may have an older witness with a smaller number, which is still true.

// turn is a writer's turn: the locked file on which writers queue. The witness is stored
// in the same file. A nil turn has no witness.
type turn struct{ *filelock.Lock }

// takeTurn waits for a writer's turn. The error is a *ledger.Fault when the locks are
// missing.
func (l *Ledger) takeTurn() (*turn, error) {
	queue, err := l.locks.Queue()
	if err != nil {
		return nil, err
	}
	return &turn{queue}, nil
}

func (t *turn) end() {
	if t != nil {
		_ = t.Leave() // ends the lock: no other process has inherited it
	}
}

// witnessSize is the size of the witness in bytes: the number of commits, and the same
// number with all bits inverted.
const witnessSize = 16

// witness returns how many commits there have been at least. It returns 0 for a file
// without a witness: an empty one, or one of zero bytes, as a power cut may leave it.
func (t *turn) witness() (int64, error) {
	var b [witnessSize]byte
	size, err := t.File.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	n := binary.BigEndian.Uint64(b[:8])
	switch {
	case b == [witnessSize]byte{}:
		return 0, nil
	case size != len(b), binary.BigEndian.Uint64(b[8:]) != ^n:
		return 0, &ledger.Fault{
			Kind: ledger.FaultBadWitness, Is: ledger.ErrCorrupt, Path: t.File.Name(),
			Text: "the change count in locks is unreadable",
		}
	}
	return int64(n), nil
}

// recordWitness stores that there have been n commits. If it fails, the older witness
// remains.
func (t *turn) recordWitness(n int64) {
	var b [witnessSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(n))
	binary.BigEndian.PutUint64(b[8:], ^uint64(n))
	if t != nil {
		_, _ = t.File.WriteAt(b[:], 0)
	}
}

// missing returns a fault if the ledger has fewer commits than its witness says, or if the
// witness cannot be read.
func (t *turn) missing(commits int64) error {
	if t == nil {
		return nil
	}
	recorded, err := t.witness()
	if err == nil && recorded > commits {
		err = &ledger.Fault{
			Kind: ledger.FaultLostCommits, Is: ledger.ErrCorrupt, Path: t.File.Name(),
			Text: fmt.Sprintf("its last %d changes are missing", recorded-commits),
		}
	}
	return err
}

// count adds tx to the number of commits and returns the new number. It uses two
// statements. One with RETURNING takes twice as long, because SQLite creates a table for
// the result.
func count(ctx context.Context, tx querier) (n int64, err error) {
	if err = tx.QueryRowContext(ctx, "select n+1 from commits").Scan(&n); err == nil {
		err = requireOneRow(tx.ExecContext(ctx, "update commits set n=?", n))
	}
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, ledger.ErrChanged) {
		err = fmt.Errorf("%w: the number of its commits", ledger.ErrCorrupt)
	}
	return n, err
}
