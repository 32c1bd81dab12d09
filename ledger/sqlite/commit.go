package sqlite

import (
	"context"
	"os"

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
	if l.wal == nil { // nobody removes it while we have it open
		l.wal, _ = os.Lstat(l.path("ledger.db-wal"))
	}
	return nil
}
