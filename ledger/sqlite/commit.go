package sqlite

import (
	"context"
	"fmt"
	"time"

	"idem/internal/failpoint"
)

// write runs one transaction, alone among all processes, unless the ledger has
// lost some.
func (l *Ledger) write(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, true)
}

// record is write for what is known now and would be lost otherwise, whatever
// else has become of the ledger.
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

// checkPlace makes sure that what was committed is at the ledger's place.
func (l *Ledger) checkPlace() error { return l.dir.Check("ledger.db", walName) }

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
