package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"

	"idem/internal/failpoint"
)

// write runs one transaction, alone among all processes, unless the ledger has
// lost some.
func (l *Ledger) write(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, true)
}

// record is write for what is known now and would be lost otherwise, whatever
// else is.
func (l *Ledger) record(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, false)
}

func (l *Ledger) commit(ctx context.Context, f func(tx querier) error, whole bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, err := l.writer(ctx)
	if err != nil {
		return err
	}
	turn, err := l.locks.queue()
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
	if err := f(in); err != nil {
		return err
	}
	failpoint.Here("write.commit")
	if err := tx.Commit(); err != nil {
		return err
	}
	failpoint.Here("write.committed")
	if missing == nil {
		turn.testify(n)
	}
	failpoint.Here("write.witnessed")
	wal, err := os.Lstat(l.path("ledger.db-wal"))
	if l.wal == nil { // nobody removes it while we have it open
		l.wal = wal
	}
	if err == nil && wal.Size() > longWAL {
		l.checkpoint(ctx, "restart", readerPatience)
	}
	return nil
}

// longWAL is how long the -wal may be before a writer waits for readers, at most
// for readerPatience. SQLite itself never does: while at any time one of them
// reads, even if each only for a moment, it cannot begin its log anew.
const (
	longWAL        = 2 << 20
	readerPatience = 20 * time.Millisecond
)

// checkpoint moves what is in the write-ahead log to the database, if readers
// permit. The caller holds l.mu.
func (l *Ledger) checkpoint(ctx context.Context, mode string, patience time.Duration) {
	_, _ = l.db.ExecContext(ctx, fmt.Sprintf("pragma busy_timeout=%d; pragma wal_checkpoint(%s)", patience.Milliseconds(), mode))
	// What fails ends its Exec: the patience with locks comes back by one of its own.
	_, _ = l.db.ExecContext(context.WithoutCancel(ctx), reading)
}
