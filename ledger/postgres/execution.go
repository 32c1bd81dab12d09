package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/postgres/wire"
	"idem/ledger/spool"
)

// execution implements ledger.Execution and ledger.Inheriting.
type execution struct {
	claim      *claim
	life       *os.File
	spool      *spool.Writer // nil: output is only counted
	upload     *upload       // of a spool
	unkept     int64         // bytes of output that were only counted
	attempt    ledger.Attempt
	fence      int64
	generation int64
}

func (e *execution) Attempt() ledger.Attempt { return e.attempt }
func (e *execution) Fence() int64            { return e.fence }
func (e *execution) Generation() int64       { return e.generation }

// Descriptors implements ledger.Inheriting.
func (e *execution) Descriptors() []*os.File { return []*os.File{e.life} }

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
	failpoint.Here("finish.before")
	c := e.claim
	ctx = context.WithoutCancel(ctx)
	defer e.endCommand(o.Reason)
	a := e.attempt
	a.State, a.Reason, a.ExitCode, a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	a.Files, a.Incomplete, a.Redacted = len(o.Files), o.Capture.Incomplete, o.Capture.Redacted
	out, inline := e.endOutput(ctx, &a, o.Capture.Unread)
	failpoint.Here("finish.output")
	final := o.Final && o.Reason == ledger.ReasonExit
	err := e.finish(ctx, &a, out, inline, o.Files, final)
	if errors.Is(err, ledger.ErrFull) && inline != nil { // the outcome matters more than the output
		a.Truncated = true
		err = e.finish(ctx, &a, output{storage: storageNone}, nil, o.Files, final)
	}
	if err == nil {
		c.mu.Lock()
		c.given = c.given || final
		c.mu.Unlock()
	}
	c.changed()
	if err == nil || errors.Is(err, ledger.ErrLost) {
		c.here.removeSpool(a.RunID)
	}
	failpoint.Here("finish.done")
	return a, err
}

// finish commits the outcome a with its output and files.
func (e *execution) finish(ctx context.Context, a *ledger.Attempt, out output, inline []byte, files []ledger.File, final bool) error {
	c := e.claim
	l := c.ledger
	outcome := l.many(finishSQL, wire.Bytes(c.name[:]), wire.Text(a.RunID), wire.Int(e.fence), wire.Bool(final), wire.ID(c.held.holder),
		wire.Text(string(a.State)), wire.Text(string(a.Reason)), wire.Int(a.ExitCode), wire.Int(a.Signal), wire.Int(a.OutputBytes),
		wire.Bool(a.Truncated), wire.Bool(a.Incomplete), wire.Bool(a.Redacted), wire.Int(a.Files), wire.Int(out.storage), wire.Int(out.size),
		wire.Int(out.sum), wire.Int(out.chunks), wire.BytesOrNull(inline), wire.Int(c.doneBy(*a)))
	outcome.Each = func(row *wire.Row) error { a.Ended = row.Time(); return nil }
	stmts := append([]*wire.Stmt{outcome}, l.fileStmts(c.id, a.RunID, files)...)
	stmts = append(stmts, e.upload.dropStmts(out)...)
	if final {
		stmts = append(stmts, c.leaveWithOutcome()...)
	}
	err := l.doWithin(ctx, l.opt.FinishTimeout, wire.Durable, stmts...)
	if err == nil && outcome.Rows == 0 {
		*a, err = e.readFinished(ctx, *a)
	}
	return err
}

// readFinished looks whether an earlier try of Finish was committed whose answer was lost. The
// error is ledger.ErrLost if another run or a mark has taken the key over.
func (e *execution) readFinished(ctx context.Context, a ledger.Attempt) (ledger.Attempt, error) {
	f, err := e.claim.ledger.read(ctx, e.claim.id)
	if err != nil {
		return a, err
	}
	now := f.own.rec.Current
	if now.RunID == a.RunID && now.State == a.State && now.Reason == a.Reason && now.ExitCode == a.ExitCode {
		a.Ended = now.Ended
		return a, nil
	}
	return a, fmt.Errorf("%w (run %s)", ledger.ErrLost, a.RunID)
}

// Abandon implements ledger.Execution. It puts the attempt before this one back in its place.
func (e *execution) Abandon(ctx context.Context) error {
	c := e.claim
	l := c.ledger
	ctx = context.WithoutCancel(ctx)
	defer e.endLife(ledger.ReasonExit)
	e.dropOutput()
	c.here.removeSpool(e.attempt.RunID)
	failpoint.Here("abandon.before")
	err := l.tx(ctx, wire.Durable, func(t *wire.Tx) error {
		f, err := c.lockOwn(t)
		if err != nil {
			return err
		}
		if now := f.own.rec.Current; now.RunID != e.attempt.RunID || now.State != ledger.Running {
			return errAbandoned
		}
		return l.restore(t, &f.own)
	})
	if errors.Is(err, errAbandoned) {
		err = nil // by an earlier try whose answer was lost
	}
	c.changed()
	return l.explain(err)
}

var errAbandoned = errors.New("the attempt is abandoned")
