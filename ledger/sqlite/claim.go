package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"idem/ledger"
	"idem/ledger/spool"
)

// Claim implements ledger.Ledger.
func (l *Ledger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.claim(ctx, id)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *Ledger) claim(ctx context.Context, id ledger.ID) (*claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	_, err := l.writer(ctx)
	l.mu.Unlock()
	if err != nil {
		return nil, l.explain(err)
	}
	name := nameOf(id)
	held, err := l.locks.take(name, claimLock)
	if errors.Is(err, errHeld) {
		return nil, l.busy(ctx, id, false)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	// Nobody takes a life lock without the claim: if it is held now, it is by
	// processes of a command whose idem is gone.
	leftover, err := l.locks.held(name, lifeLock)
	if leftover || err != nil {
		_ = held.release()
		if err != nil {
			return nil, l.explain(err)
		}
		return nil, l.busy(ctx, id, true)
	}
	return &claim{ledger: l, id: id, name: name, lock: held}, nil
}

func (l *Ledger) busy(ctx context.Context, id ledger.ID, leftover bool) error {
	rec, err := l.Get(ctx, id)
	if err != nil {
		return err
	}
	return &ledger.BusyError{ID: id, Record: rec, Leftover: leftover}
}

// Wait implements ledger.Ledger. It asks at growing intervals: waiting in the
// kernel could not be ended by ctx, and would wake one waiter after the other.
func (l *Ledger) Wait(ctx context.Context, id ledger.ID) error {
	b := &backoff.ExponentialBackOff{
		InitialInterval: 2 * time.Millisecond, Multiplier: 1.5, RandomizationFactor: 0.5, MaxInterval: 50 * time.Millisecond,
	}
	b.Reset()
	for {
		alive, err := l.alive(id)
		if err != nil {
			return l.explain(err)
		}
		if !alive {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(b.NextBackOff()):
		}
	}
}

// write runs one transaction, alone among all processes.
func (l *Ledger) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, err := l.writer(ctx)
	if err != nil {
		return err
	}
	release, err := l.locks.queue()
	if err != nil {
		return err
	}
	defer release()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// claim implements ledger.Claim.
type claim struct {
	ledger *Ledger
	id     ledger.ID
	name   lockName

	mu   sync.Mutex
	lock *lock // nil when released
	life *lock // of the execution in progress, if there is one
}

var errReleased = errors.New("the claim is released")

func (c *claim) held() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return errReleased
	}
	return nil
}

func (c *claim) Lost() <-chan struct{} { return nil }

func (c *claim) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	// An execution that was not finished keeps the key busy as long as
	// processes of its command live.
	err := errors.Join(c.endLife(ledger.ReasonLost), c.lock.release())
	c.lock = nil
	return c.ledger.explain(err)
}

// endLife gives the life lock back: for good after an end that the command
// chose, else only our part, so that leftovers of a killed command count. The
// caller holds c.mu.
func (c *claim) endLife(reason ledger.Reason) error {
	life := c.life
	c.life = nil
	switch {
	case life == nil:
		return nil
	case reason == ledger.ReasonExit:
		return life.release()
	default:
		return life.leave()
	}
}

func (c *claim) Record(ctx context.Context) (ledger.Record, error) {
	if err := c.held(); err != nil {
		return ledger.Record{}, err
	}
	db, err := c.ledger.database(ctx)
	if err != nil {
		return ledger.Record{}, c.ledger.explain(err)
	}
	r, _, err := readBoth(ctx, db, c.id)
	return r.rec, c.ledger.explain(err)
}

// Begin implements ledger.Claim.
func (c *claim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	if err := c.held(); err != nil {
		return nil, err
	}
	l := c.ledger
	life, err := l.locks.take(c.name, lifeLock)
	if errors.Is(err, errHeld) {
		return nil, l.busy(ctx, c.id, true)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	c.mu.Lock()
	c.life = life
	c.mu.Unlock()
	e := &execution{claim: c, life: life.file}
	if err = l.checkFile(); err == nil {
		err = l.write(ctx, func(tx *sql.Tx) error { return e.begin(ctx, tx, s) })
	}
	if err != nil {
		e.endLife(ledger.ReasonExit)
		return nil, l.explain(err)
	}
	// The monotonic clock counts from here; the record has the same instant.
	e.spool = spool.NewWriter(s.MaxOutput, time.Now(), func() (*os.File, error) { return l.createSpool(s.RunID) })
	return e, nil
}

func (e *execution) begin(ctx context.Context, tx *sql.Tx, s ledger.Start) error {
	l, id := e.claim.ledger, e.claim.id
	before, last, err := readBoth(ctx, tx, id)
	if err != nil {
		return err
	}
	if last.a.State == ledger.Running {
		e.lost = &last
		if err := settleLost(ctx, tx, id, last); err != nil {
			return err
		}
	}
	now := before
	now.rec.Attempts++
	now.rec.Fence++
	if before.rowid == 0 { // the attempt needs the record's rowid
		if err := writeRecord(ctx, tx, before, &now); err != nil {
			return err
		}
	}
	row := attemptRow{record: now.rowid, a: ledger.Attempt{
		Number: now.rec.Attempts, RunID: s.RunID, State: ledger.Running, Started: l.now().UTC(),
		Fingerprint: s.Fingerprint, Inputs: s.Inputs, Owner: s.Owner,
	}}
	if err := insertAttempt(ctx, tx, id, &row); err != nil {
		return err
	}
	expect := before
	if before.rowid == 0 {
		expect = now
	}
	now.current = row.rowid
	if err := writeRecord(ctx, tx, expect, &now); err != nil {
		return err
	}
	row.a.Started = fromMicros(micros(row.a.Started))
	e.before, e.record, e.row = before, now, row
	return nil
}

// settleLost gives an attempt whose end nobody saw its place in the history.
func settleLost(ctx context.Context, tx *sql.Tx, id ledger.ID, last attemptRow) error {
	last.a.State, last.a.Reason = ledger.Failed, ledger.ReasonLost
	last.a.Truncated = true // what was on its way to us is not recorded
	return settleAttempt(ctx, tx, id, last, ledger.Running)
}

// execution implements ledger.Execution and ledger.Inheriting.
type execution struct {
	claim  *claim
	life   *os.File
	spool  *spool.Writer
	before recordRow   // as Abandon restores it,
	lost   *attemptRow // and the attempt that Begin settled, if any
	record recordRow
	row    attemptRow
}

func (e *execution) Attempt() ledger.Attempt         { return e.row.a }
func (e *execution) Fence() int64                    { return e.record.rec.Fence }
func (e *execution) Write(s ledger.Stream, p []byte) { e.spool.Write(s, p) }
func (e *execution) Descriptors() []*os.File         { return []*os.File{e.life} }

func (e *execution) endLife(reason ledger.Reason) {
	e.claim.mu.Lock()
	defer e.claim.mu.Unlock()
	_ = e.claim.endLife(reason)
}

// Finish implements ledger.Execution.
func (e *execution) Finish(ctx context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	l := e.claim.ledger
	ctx = context.WithoutCancel(ctx)
	defer e.endLife(o.Reason)
	sum, spoolErr := e.spool.Close(true)
	row := e.row
	row.a.State, row.a.Reason, row.a.ExitCode, row.a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	row.a.Ended = fromMicros(micros(l.now()))
	row.keepOutput(sum, sum.Inline != nil || spoolErr == nil && l.syncSpools() == nil)
	err := e.finish(ctx, row, sum.Inline)
	switch {
	case err == nil, errors.Is(err, ledger.ErrLost), errors.Is(err, errUnknown):
	case errors.Is(meaning(err), ledger.ErrFull):
		// The outcome matters more than the output.
		l.removeSpool(e.row.a.RunID)
		row.dropOutput()
		err = e.finish(ctx, row, nil)
	default: // somebody has had the ledger locked for long: giving up helps nobody
		for end := time.Now().Add(finishPatience); err != nil && errors.Is(meaning(err), errLocked) && time.Now().Before(end); {
			err = e.finish(ctx, row, sum.Inline)
		}
	}
	if err == nil && row.place != placeFile {
		l.removeSpool(e.row.a.RunID)
	}
	if err == nil {
		err = l.checkFile()
	}
	return row.a, l.explain(err)
}

// finishPatience is how long an outcome waits for its turn to be recorded.
const finishPatience = 10 * time.Minute

// finish commits the outcome.
func (e *execution) finish(ctx context.Context, row attemptRow, inline []byte) error {
	l, id := e.claim.ledger, e.claim.id
	err := l.commit(ctx, id, &row, func(tx *sql.Tx) error {
		if err := settleAttempt(ctx, tx, id, row, ledger.Running); err != nil {
			return err
		}
		return insertOutput(ctx, tx, row, inline)
	})
	if errors.Is(err, ledger.ErrChanged) {
		return fmt.Errorf("%w (run %s)", ledger.ErrLost, row.a.RunID)
	}
	return err
}

// Abandon implements ledger.Execution.
func (e *execution) Abandon(ctx context.Context) error {
	l, id := e.claim.ledger, e.claim.id
	ctx = context.WithoutCancel(ctx)
	defer e.endLife(ledger.ReasonExit)
	_, _ = e.spool.Close(false)
	l.removeSpool(e.row.a.RunID)
	return l.explain(l.write(ctx, func(tx *sql.Tx) error {
		back := e.record
		back.current, back.rec.Attempts = e.before.current, e.before.rec.Attempts
		if err := writeRecord(ctx, tx, e.record, &back); err != nil {
			return err
		}
		if e.lost != nil {
			if err := settleAttempt(ctx, tx, id, *e.lost, ledger.Failed); err != nil {
				return err
			}
		}
		return one(tx.ExecContext(ctx, "delete from attempts where id=? and run_id=? and state='running'", e.row.rowid, e.row.a.RunID))
	}))
}
