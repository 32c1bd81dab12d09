package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"idem/ledger"
)

// SQLite takes a -wal that is gone, cut off or damaged for a shorter one, and
// forgets the commits in it without a word; so does who puts an older ledger.db
// in its place. What they recorded would then run again. Therefore the ledger
// counts its commits, and a witness in another file says how many there have
// been at least: a ledger that knows of fewer is damaged.
//
// The witness is written after each commit and is not synced. After a power cut
// it may be an older one, which claims less and is as true.

// turn is a writer's turn: the file on which writers queue, locked. The witness
// stands in it: it costs no file of its own. A nil turn has no witness: an
// outcome is recorded also when the locks are gone.
type turn struct{ file *os.File }

func (t *turn) end() {
	if t != nil {
		t.file.Close()
	}
}

// witnessSize: the number of commits, and again with all bits inverted.
const witnessSize = 16

// witness returns how many commits there have been at least. A file without one,
// empty or as a power cut may leave it, says nothing: 0.
func (t *turn) witness() (int64, error) {
	var b [witnessSize]byte
	size, err := t.file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	n := binary.BigEndian.Uint64(b[:8])
	switch {
	case b == [witnessSize]byte{}:
		return 0, nil
	case size != len(b), binary.BigEndian.Uint64(b[8:]) != ^n:
		return 0, &ledger.Fault{
			Kind: ledger.FaultBadWitness, Is: ledger.ErrCorrupt, Path: t.file.Name(),
			Text: "the change count in locks is unreadable",
		}
	}
	return int64(n), nil
}

// testify says that there have been n commits. If it cannot, an older witness
// stays.
func (t *turn) testify(n int64) {
	var b [witnessSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(n))
	binary.BigEndian.PutUint64(b[8:], ^uint64(n))
	if t != nil {
		_, _ = t.file.WriteAt(b[:], 0)
	}
}

// missing is why the commits that there are cannot be all: nil if they can.
func (t *turn) missing(commits int64) error {
	if t == nil {
		return nil
	}
	said, err := t.witness()
	if err == nil && said > commits {
		err = &ledger.Fault{
			Kind: ledger.FaultLostCommits, Is: ledger.ErrCorrupt, Path: t.file.Name(),
			Text: fmt.Sprintf("its last %d changes are missing", said-commits),
		}
	}
	return err
}

// count makes tx one more commit and returns its number. (In one statement,
// with RETURNING, it takes twice as long: SQLite makes a table for the result.)
func count(ctx context.Context, tx querier) (n int64, err error) {
	if err = tx.QueryRowContext(ctx, "select n+1 from commits").Scan(&n); err == nil {
		err = one(tx.ExecContext(ctx, "update commits set n=?", n))
	}
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, ledger.ErrChanged) {
		err = fmt.Errorf("%w: the number of its commits", ledger.ErrCorrupt)
	}
	return n, err
}
