package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"idem/internal/failpoint"
	"idem/ledger"
)

// change is what one call writes. Changes that wait at the same time are committed
// together, but each fails alone.
//
// A change may be made more than once, if an earlier transaction was rolled back. So what f
// does outside of the transaction must be undone or repeated when f is called again. f must
// not wait for another change.
type change struct {
	ctx   context.Context
	f     func(tx querier) error
	whole bool // see write
	err   error
}

// errUnserved is the error of a change whose group was ended by a panic.
var errUnserved = errors.New("the transaction was ended by a panic")

// write makes a change, as the only writer among all processes. It refuses a ledger that
// has lost commits or whose files were replaced.
func (l *Ledger) write(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, true)
}

// writeUnchecked is write for a fact that would be lost otherwise, such as an outcome. It
// also writes to a ledger that has lost commits or whose files were replaced.
func (l *Ledger) writeUnchecked(ctx context.Context, f func(tx querier) error) error {
	return l.commit(ctx, f, false)
}

func (l *Ledger) commit(ctx context.Context, f func(tx querier) error, whole bool) error {
	c := &change{ctx: ctx, f: f, whole: whole, err: errUnserved}
	l.changes.do(c)
	return c.err
}

// Together implements ledger.Grouping.
func (l *Ledger) Together(changes ...func()) {
	l.changes.announce(len(changes))
	var all sync.WaitGroup
	for _, change := range changes {
		all.Go(func() {
			defer l.changes.withdraw() // it may have changed nothing
			change()
		})
	}
	all.Wait()
}

// commitGroup commits the changes that wait.
func (l *Ledger) commitGroup(take func() []*change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, err := l.writer(context.Background())
	var t *turn
	var refuse error
	if err == nil {
		t, err = l.takeTurn()
		// An outcome is recorded without the locks, because SQLite itself admits one
		// writer at a time.
		if fault := (*ledger.Fault)(nil); errors.As(err, &fault) {
			refuse, err = err, nil
		}
		defer t.end()
	}
	group := take()
	if err != nil {
		fail(group, err)
		return
	}
	if !l.transact(db, t, refuse, group) {
		for i := range group {
			l.transact(db, t, refuse, group[i:i+1])
		}
	}
	for _, statement := range l.wanted {
		if db.cached(statement) == nil {
			_ = db.compile(context.Background(), statement)
		}
	}
	l.wanted = nil
	failpoint.Here("write.witnessed")
	size, err := l.dir.Learn(walName) // no process removes it while it is open
	if err == nil && size > l.longWAL() {
		l.checkpoint(context.Background(), "restart", readerPatience)
	}
}

func fail(group []*change, err error) {
	for _, c := range group {
		c.err = err
	}
}

// transact makes changes in one transaction, and sets their errors. Unless refuse is nil,
// it is the error of changes that need a whole ledger. transact returns false if nothing
// was committed, because a single one of the changes may have failed them all. Each must then
// be repeated alone.
func (l *Ledger) transact(db *database, t *turn, refuse error, group []*change) bool {
	ctx := context.Background()
	if len(group) == 1 {
		ctx = group[0].ctx
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		fail(group, err)
		return true
	}
	defer tx.Rollback()
	failpoint.Here("write.begun")
	in := transaction{tx: tx, db: db}
	if l.sustained.Load() > 0 {
		in.wanted = &l.wanted
	}
	n, err := count(ctx, in)
	if err != nil {
		fail(group, err)
		return true
	}
	missing := t.missing(n - 1)
	if refuse == nil {
		refuse = missing
	}
	if refuse == nil && needWhole(group) {
		refuse = l.dir.Check()
	}
	made := 0
	for _, c := range group {
		switch {
		case c.whole && refuse != nil:
			c.err = refuse
		case len(group) == 1:
			c.err = c.f(in)
		default:
			if !c.isolated(in) {
				return false
			}
		}
		if c.err == nil {
			made++
		}
	}
	if made == 0 {
		return true
	}
	failpoint.Here("write.commit")
	if err := tx.Commit(); err != nil {
		if len(group) > 1 && errors.Is(l.classify(err), ledger.ErrFull) {
			return false // a full disk has room for some of them
		}
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
		}
		return true
	}
	failpoint.Here("write.committed")
	if missing == nil {
		t.recordWitness(n)
	}
	return true
}

func needWhole(group []*change) bool {
	for _, c := range group {
		if c.whole {
			return true
		}
	}
	return false
}

// isolated makes the change as one of several of a transaction. If it fails, its effect is
// undone. The result is false if the transaction cannot go on: after an error of SQLite,
// its state is not relied on.
func (c *change) isolated(tx transaction) bool {
	if c.err = c.ctx.Err(); c.err != nil {
		return true
	}
	ctx := context.Background()
	if _, err := tx.ExecContext(ctx, "savepoint change"); err != nil {
		return false
	}
	c.err = c.f(tx)
	if e := (*driver.Error)(nil); errors.As(c.err, &e) {
		return false
	}
	if c.err != nil {
		if _, err := tx.ExecContext(ctx, "rollback to change"); err != nil {
			return false
		}
	}
	_, err := tx.ExecContext(ctx, "release change")
	return err == nil
}

const walName = "ledger.db-wal"

// checkPlace checks that the files to which the commit was written are still at the
// ledger's path.
func (l *Ledger) checkPlace() error { return l.dir.Check("ledger.db", walName) }

// readerPatience is how long a writer waits for readers when the -wal is long. SQLite itself
// never waits: while at any time some reader reads, even if each one is short, SQLite cannot
// restart its log.
const readerPatience = 20 * time.Millisecond

// checkpoint moves the content of the write-ahead log to the database, if readers permit.
// It waits for locks at most for patience. The caller holds l.mu.
func (l *Ledger) checkpoint(ctx context.Context, mode string, patience time.Duration) {
	_, _ = l.db.ExecContext(ctx, fmt.Sprintf("pragma busy_timeout=%d; pragma wal_checkpoint(%s)", patience.Milliseconds(), mode))
	// A failed checkpoint ends its Exec. So the busy timeout is restored by a separate
	// Exec.
	_, _ = l.db.ExecContext(context.WithoutCancel(ctx), readPragmas)
}
