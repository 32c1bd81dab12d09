package sqlite

import (
	"context"
	"fmt"
	"time"

	"idem/internal/failpoint"
)

// write runs one transaction, as the only writer among all processes. It refuses a ledger
// that has lost commits or whose files were replaced.
func (l *Ledger) write(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, true)
}

// writeUnchecked is write for a fact that would be lost otherwise, such as an outcome. It
// also writes to a ledger that has lost commits or whose files were replaced.
func (l *Ledger) writeUnchecked(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, false)
}

func (l *Ledger) commit(ctx context.Context, f func(tx querier) error, whole bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, err := l.writer(ctx)
	if err != nil {
		return err
	}
	turn, err := l.takeTurn(whole)
	if err != nil {
		return err
	}
	defer turn.end()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	failpoint.Here("write.begun")
	in := transaction{tx, db}
	n, err := count(ctx, in)
	if err != nil {
		return err
	}
	missing := turn.missing(n - 1)
	if whole && missing != nil {
		return missing
	}
	if whole {
		if err := l.dir.Check(); err != nil {
			return err
		}
	}
	if err := f(in); err != nil {
		return err
	}
	failpoint.Here("write.commit")
	if err := tx.Commit(); err != nil {
		return err
	}
	failpoint.Here("write.committed")
	if missing == nil {
		turn.recordWitness(n)
	}
	failpoint.Here("write.witnessed")
	size, err := l.dir.Learn(walName) // no process removes it while it is open
	if err == nil && size > longWAL {
		l.checkpoint(ctx, "restart", readerPatience)
	}
	return nil
}

const walName = "ledger.db-wal"

// checkPlace checks that the files to which the commit was written are still at the
// ledger's path.
func (l *Ledger) checkPlace() error { return l.dir.Check("ledger.db", walName) }

// longWAL is the size of the -wal in bytes from which on a writer waits for readers. It
// waits at most readerPatience. SQLite itself never waits: while at any time some reader
// reads, even if each one is short, SQLite cannot restart its log.
const (
	longWAL        = 2 << 20
	readerPatience = 20 * time.Millisecond
)

// checkpoint moves the content of the write-ahead log to the database, if readers permit.
// It waits for locks at most for patience. The caller holds l.mu.
func (l *Ledger) checkpoint(ctx context.Context, mode string, patience time.Duration) {
	_, _ = l.db.ExecContext(ctx, fmt.Sprintf("pragma busy_timeout=%d; pragma wal_checkpoint(%s)", patience.Milliseconds(), mode))
	// A failed checkpoint ends its Exec. So the busy timeout is restored by a separate
	// Exec.
	_, _ = l.db.ExecContext(context.WithoutCancel(ctx), readPragmas)
}
