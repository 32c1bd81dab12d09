package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

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

// witness returns how many commits there have been at least, 0 for a file without a witness.
func (t *turn) witness() (int64, error) {
	var b [witnessSize]byte
	size, err := t.File.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	n, ok := witnessIn(b[:size])
	if !ok {
		return 0, &ledger.Fault{
			Kind: ledger.FaultBadWitness, Is: ledger.ErrCorrupt, Path: t.File.Name(),
			Text: "the change count in locks is unreadable",
		}
	}
	return n, nil
}

// witnessIn returns the number of commits in a witness, and whether it can be read. It is 0
// for an empty one, or one of zero bytes, as a power cut may leave it.
func witnessIn(b []byte) (n int64, ok bool) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return 0, true
	}
	if len(b) != witnessSize {
		return 0, false
	}
	first := binary.BigEndian.Uint64(b)
	return int64(first), binary.BigEndian.Uint64(b[8:]) == ^first
}

// recordWitness stores that there have been n commits. If it fails, the older witness
// remains.
func (t *turn) recordWitness(n int64) {
	if t != nil {
		_, _ = t.File.WriteAt(witnessOf(n), 0)
	}
}

// witnessOf returns the witness of n commits as it is stored.
func witnessOf(n int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	return binary.BigEndian.AppendUint64(b, ^uint64(n))
}

// readWitness is turn.witness without a turn. A writer may be writing it. The turn serves
// only for turn.lost.
func (l *Ledger) readWitness() (t *turn, n int64, err error) {
	f, err := l.locks.Witness()
	if errors.Is(err, os.ErrNotExist) { // nothing was written yet
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	t = &turn{&filelock.Lock{File: f}}
	for range 3 {
		if n, err = t.witness(); err == nil {
			break
		}
	}
	return t, n, err
}

// missing returns a fault if the ledger has fewer commits than its witness says, or if the
// witness cannot be read.
func (t *turn) missing(commits int64) error {
	if t == nil {
		return nil
	}
	recorded, err := t.witness()
	if err != nil {
		return err
	}
	return t.lost(recorded, commits)
}

// lost returns a fault if there are fewer commits than the witness has recorded.
func (t *turn) lost(recorded, commits int64) error {
	if recorded <= commits {
		return nil
	}
	return &ledger.Fault{
		Kind: ledger.FaultLostCommits, Is: ledger.ErrCorrupt, Path: t.File.Name(),
		Text: fmt.Sprintf("its last %d changes are missing", recorded-commits),
	}
}

// commitsOf returns the number of commits.
func commitsOf(ctx context.Context, q querier) (n int64, err error) {
	err = q.QueryRowContext(ctx, "select n from commits").Scan(&n)
	return n, commitsError(err)
}

// commitsError says that the number of commits is missing, if that is the error.
func commitsError(err error) error {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, ledger.ErrChanged) {
		return fmt.Errorf("%w: the number of its commits", ledger.ErrCorrupt)
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
	return n, commitsError(err)
}
