package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/spool"
)

// begin records the attempt. unseen says that the key had no record when it was claimed. The
// error is ledger.ErrChanged if it has one now.
func (e *execution) begin(ctx context.Context, tx querier, s ledger.Start, unseen bool) error {
	l, id := e.claim.ledger, e.claim.id
	e.gone = nil
	var now recordRow
	var last, undone attemptRow
	var err error
	if unseen {
		now, err = newChild(ctx, tx, id, s.Origin.Parent)
	} else {
		now, last, undone, err = readClaimed(ctx, tx, id)
	}
	if err != nil {
		return err
	}
	if err := now.dropStale(ctx, tx, &e.gone); err != nil {
		return err
	}
	switch {
	case s.Fresh:
		if err := l.forget(ctx, tx, &now, &e.gone); err != nil {
			return err
		}
	case last.a.State == ledger.Running:
		if err := recordLost(ctx, tx, id, last); err != nil {
			return err
		}
	}
	if s.Renew {
		if err := l.renew(ctx, tx, &now); err != nil {
			return err
		}
	}
	if err := l.adopt(ctx, tx, &now, s.Origin, &e.gone); err != nil {
		return err
	}
	now.rec.Attempts++
	now.rec.Fence++
	row := attemptRow{a: ledger.Attempt{
		Number: now.rec.Attempts, RunID: s.RunID, State: ledger.Running, Started: l.now().UTC(),
		Fingerprint: s.Fingerprint, Inputs: s.Inputs, Owner: s.Owner, NoOutput: s.MaxOutput == 0, ParentRun: s.Origin.RunID,
	}}
	row.unstarted = e.unstart.List
	if row.a.NoOutput {
		row.storage = storageRefused
	}
	if err := addAttempt(ctx, tx, &now, &row); err != nil {
		return err
	}
	row.a.Started = fromMicros(micros(row.a.Started))
	now.unsettled = true
	keepReceipt(tx, now, row, nil)
	e.record, e.row, e.undone = now, row, undone
	return nil
}

// recordLost records a running attempt that has no holder any more as lost.
func recordLost(ctx context.Context, tx querier, id ledger.ID, last attemptRow) error {
	last.a.State, last.a.Reason = ledger.Failed, ledger.ReasonLost
	last.a.Truncated = !last.a.NoOutput // the last output may not have reached the ledger
	last.unstarted = ""
	return updateAttempt(ctx, tx, id, last, ledger.Running)
}

// execution implements ledger.Execution and ledger.Inheriting.
type execution struct {
	claim  *claim
	life   *os.File
	spool  *spool.Writer // nil: output is only counted
	unkept int64         // bytes of output that were only counted
	record recordRow
	row    attemptRow
	gone   spools     // to be removed after the commit of Begin
	undone attemptRow // the attempt that Begin abandoned, if any

	unstart filelock.Unstart // removed when the command is about to start
}

func (e *execution) Attempt() ledger.Attempt { return e.row.a }
func (e *execution) Fence() int64            { return e.record.rec.Fence }
func (e *execution) Generation() int64       { return e.record.rec.Generation }

// Descriptors implements ledger.Inheriting.
func (e *execution) Descriptors() []*os.File {
	if err := e.unstart.Remove(); err != nil {
		panic(err) // the command must not start: later callers would not know of it
	}
	failpoint.Here("start.listed")
	return append([]*os.File{e.life}, e.claim.placeFiles()...)
}

func (e *execution) endLife(reason ledger.Reason) {
	e.claim.mu.Lock()
	defer e.claim.mu.Unlock()
	_ = e.claim.endLife(reason)
}

// endCommand ends the life lock of a command that has ended.
func (e *execution) endCommand(reason ledger.Reason) {
	e.claim.mu.Lock()
	defer e.claim.mu.Unlock()
	e.claim.killed = reason != ledger.ReasonExit
	_ = e.claim.endLife(reason)
}

// Finish implements ledger.Execution.
func (e *execution) Finish(ctx context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	_ = e.unstart.Remove() // if there was no command to start
	failpoint.Here("finish.before")
	l := e.claim.ledger
	defer l.executing.Add(-1)
	ctx = context.WithoutCancel(ctx)
	defer e.endCommand(o.Reason)
	sum, spoolErr := e.endOutput(o.Capture.Unread, true)
	row := e.row
	row.unstarted = ""
	row.a.State, row.a.Reason, row.a.ExitCode, row.a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	row.a.Ended = fromMicros(micros(l.now()))
	row.a.Files = len(o.Files)
	row.a.Incomplete, row.a.Redacted = o.Capture.Incomplete, o.Capture.Redacted
	row.keepOutput(sum, sum.Inline != nil || sum.Size > 0 && spoolErr == nil && l.syncSpools() == nil)
	failpoint.Here("finish.output")
	err := e.finish(ctx, row, sum.Inline, o.Files)
	switch {
	case err == nil, errors.Is(err, ledger.ErrLost), errors.Is(err, errUnknown):
	case errors.Is(l.classify(err), ledger.ErrFull):
		// The outcome matters more than the output, so drop the output. The files are
		// part of the outcome.
		l.removeSpool(e.row.a.RunID)
		row.dropOutput()
		err = e.finish(ctx, row, nil, o.Files)
	default: // another process has had the ledger locked for a long time: giving up would lose the outcome
		for end := time.Now().Add(finishPatience); err != nil && errors.Is(l.classify(err), filelock.ErrTimeout) && time.Now().Before(end); {
			err = e.finish(ctx, row, sum.Inline, o.Files)
		}
	}
	if err == nil && row.storage != storageFile {
		l.removeSpool(e.row.a.RunID)
	}
	failpoint.Here("finish.done")
	if err == nil {
		err = l.checkPlace()
	}
	return row.a, l.explain(err)
}

// finishPatience is the maximum time that an outcome waits for its turn to be recorded.
const finishPatience = 10 * time.Minute

// largeOutput is the size in bytes from which on an output needs much more space than its
// outcome.
const largeOutput = 4 << 10

// finish commits the outcome.
func (e *execution) finish(ctx context.Context, row attemptRow, inline []byte, files []ledger.File) error {
	l, id := e.claim.ledger, e.claim.id
	write := l.writeUnchecked
	if len(inline) > largeOutput {
		write = l.writeLarge
	}
	err := l.confirmed(ctx, write, id, &row, func(tx querier) error {
		if err := updateAttempt(ctx, tx, id, row, ledger.Running); err != nil {
			return err
		}
		if err := insertFiles(ctx, tx, id, row, files); err != nil {
			return err
		}
		if err := insertOutput(ctx, tx, row, inline); err != nil {
			return err
		}
		keepReceipt(tx, e.record, row, inline)
		return e.setDone(ctx, tx, row.a)
	})
	if errors.Is(err, ledger.ErrChanged) {
		return fmt.Errorf("%w (run %s)", ledger.ErrLost, row.a.RunID)
	}
	return err
}

// Abandon implements ledger.Execution.
func (e *execution) Abandon(ctx context.Context) error {
	l := e.claim.ledger
	ctx = context.WithoutCancel(ctx)
	defer l.executing.Add(-1)
	defer e.endLife(ledger.ReasonExit)
	_, _ = e.endOutput(ledger.Gaps{}, false)
	l.removeSpool(e.row.a.RunID)
	failpoint.Here("abandon.before")
	err := l.writeUnchecked(ctx, func(tx querier) error {
		r, err := e.stored(ctx, tx)
		if err == nil {
			_, _, err = r.abandon(ctx, tx, e.row)
		}
		return err
	})
	if err == nil {
		_ = e.unstart.Remove()
	}
	return l.explain(err)
}

// stored reads the row of the record, whose floor may have changed since Begin.
func (e *execution) stored(ctx context.Context, tx querier) (recordRow, error) {
	r, err := readRow(ctx, tx, e.record.rowid)
	if errors.Is(err, sql.ErrNoRows) || err == nil && r.current != e.row.rowid {
		err = ledger.ErrChanged
	}
	return r, err
}

// setDone stores the column done of a child, if the attempt has succeeded.
func (e *execution) setDone(ctx context.Context, tx querier, a ledger.Attempt) error {
	r := e.record
	if r.kin.done = r.doneBy(a); r.kin.done == 0 {
		return nil
	}
	err := updateRecord(ctx, tx, &r) // usually the row is still as Begin has stored it
	if !errors.Is(err, ledger.ErrChanged) {
		return err
	}
	if r, err = e.stored(ctx, tx); err != nil {
		return err
	}
	r.kin.done, r.unsettled = r.doneBy(a), true
	return updateRecord(ctx, tx, &r)
}
