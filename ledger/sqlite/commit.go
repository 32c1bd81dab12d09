package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	driver "modernc.org/sqlite"

	"idem/internal/combine"
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
	large bool // see writeLarge
	err   error
}

// errUnserved is the error of a change whose group was ended by a panic.
var errUnserved = errors.New("the transaction was ended by a panic")

// write makes a change, as the only writer among all processes. It refuses a ledger that
// has lost commits or whose files were replaced.
func (l *Ledger) write(ctx context.Context, f func(tx querier) error) error {
	return l.commit(&change{ctx: ctx, f: f, whole: true})
}

// writeUnchecked is write for a fact that would be lost otherwise, such as an outcome. It
// also writes to a ledger that has lost commits or whose files were replaced.
func (l *Ledger) writeUnchecked(ctx context.Context, f func(tx querier) error) error {
	return l.commit(&change{ctx: ctx, f: f})
}

// writeLarge is writeUnchecked for a fact that the caller writes again without its large
// part if the disk is full. If the disk has no room for a group, such changes are not
// repeated, because the changes without a large part need the space.
func (l *Ledger) writeLarge(ctx context.Context, f func(tx querier) error) error {
	return l.commit(&change{ctx: ctx, f: f, large: true})
}

func (l *Ledger) commit(c *change) error {
	c.err = errUnserved
	l.changes.Do(c, combine.AnnouncementIn(c.ctx))
	return c.err
}

// Together implements ledger.Grouping.
func (l *Ledger) Together(ctx context.Context, changes ...func(ctx context.Context)) {
	combine.Together(ctx, l.changes, changes...)
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
	l.awaitOthers()
	group := take()
	if err != nil {
		fail(group, err)
		return
	}
	if !l.transact(db, t, refuse, group) {
		full := errors.Is(group[0].err, ledger.ErrFull)
		if full && l.sustained.Load() > 0 { // a long -wal may be written over then, which needs no space
			l.checkpoint(context.Background(), "restart", 0)
		}
		for i, c := range group {
			if !full || !c.large {
				l.transact(db, t, refuse, group[i:i+1])
			}
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
	l.receipts.stamp()
}

// If at least manyExecutions commands of a batch run, a commit waits groupPause for each of
// them, so that further changes join it. During that time the commands run. The values are
// the result of measurements with 8 and 32 slots.
const (
	manyExecutions = 4
	groupPause     = 125 * time.Microsecond
	longestPause   = 4 * time.Millisecond
)

// awaitOthers lets other slots of a batch join the group that is about to be committed.
func (l *Ledger) awaitOthers() {
	n := l.executing.Load()
	switch {
	case l.sustained.Load() == 0:
	case n < manyExecutions:
		runtime.Gosched() // those that could run now
	default:
		time.Sleep(min(time.Duration(n)*groupPause, longestPause))
	}
}

func fail(group []*change, err error) {
	for _, c := range group {
		c.err = err
	}
}

// transact makes changes in one transaction, and sets their errors. Unless refuse is nil,
// it is the error of changes that need a whole ledger.
//
// If the result is false, nothing of several changes was committed, because of an error that
// need not concern all of them. Each must be repeated alone.
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
	in := transaction{tx: tx, db: db, receipts: &l.receipts}
	if l.sustained.Load() > 0 {
		in.wanted = &l.wanted
	}
	n, err := count(ctx, in)
	if err != nil {
		fail(group, err)
		return true
	}
	missing := t.missing(n - 1)
	l.receipts.begin(n-1, t != nil && missing == nil)
	if refuse == nil {
		refuse = missing
	}
	if refuse == nil && needWhole(group) {
		refuse = l.dir.Check()
	}
	// A change has an error until the commit, also if a panic ends the transaction.
	errs := make([]error, len(group))
	made := 0
	for i, c := range group {
		kept := len(l.receipts.kept)
		switch {
		case c.whole && refuse != nil:
			errs[i] = refuse
		case len(group) == 1:
			errs[i] = c.f(in)
		default:
			errs[i], err = c.isolated(in)
			if err != nil {
				fail(group, l.classify(err))
				return false
			}
		}
		if errs[i] == nil {
			made++
		} else {
			l.receipts.kept = l.receipts.kept[:kept]
		}
	}
	if made > 0 {
		failpoint.Here("write.commit")
		err = l.receipts.erase()
		if err != nil && len(group) > 1 {
			fail(group, err)
			return false // an outcome does not need the receipts
		}
		if err != nil && !group[0].whole {
			l.receipts.sound, err = false, nil
		}
		if err == nil {
			err = tx.Commit()
		}
		if full := l.classify(err); len(group) > 1 && errors.Is(full, ledger.ErrFull) {
			fail(group, full)
			return false // there may be room for some of them
		}
	}
	for i, c := range group {
		if c.err = errs[i]; c.err == nil {
			c.err = err
		}
	}
	if made == 0 || err != nil {
		return true
	}
	failpoint.Here("write.committed")
	if missing == nil {
		t.recordWitness(n)
	}
	l.receipts.write(n)
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
// undone. If broken is not nil, the transaction cannot go on: after an error of SQLite, its
// state is not relied on.
func (c *change) isolated(tx transaction) (err, broken error) {
	if err := c.ctx.Err(); err != nil {
		return err, nil
	}
	ctx := context.Background()
	if _, err := tx.ExecContext(ctx, "savepoint change"); err != nil {
		return nil, err
	}
	err = c.f(tx)
	if e := (*driver.Error)(nil); errors.As(err, &e) {
		return nil, err
	}
	if err != nil {
		if _, err := tx.ExecContext(ctx, "rollback to change"); err != nil {
			return nil, err
		}
	}
	_, broken = tx.ExecContext(ctx, "release change")
	return err, broken
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
	_, _ = l.db.ExecContext(context.WithoutCancel(ctx), readPragmas())
}
