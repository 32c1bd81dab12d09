package postgres

import (
	"context"
	"errors"
	"os"
	"time"

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

// Finish implements ledger.Execution. The error is a *ledger.UnsentError if the server did not take
// the outcome within the finish timeout.
func (e *execution) Finish(ctx context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	failpoint.Here("finish.before")
	c := e.claim
	impatient := ctx
	ctx = context.WithoutCancel(ctx)
	reason := o.Reason
	if reason == ledger.ReasonExit && !c.ledger.leases.exited(c.held) {
		reason = ledger.ReasonLost // the rest of the command must end
	}
	defer e.endCommand(reason)
	a := e.attempt
	a.State, a.Reason, a.ExitCode, a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	a.Files, a.Incomplete, a.Redacted = len(o.Files), o.Capture.Incomplete, o.Capture.Redacted
	o.Final = o.Final && reason == ledger.ReasonExit
	u := e.newUnsent(o)
	a.Ended = u.o.Ended.UTC().Truncate(time.Microsecond)
	stored, err := e.sendEnd(impatient, &a, o.Capture.Unread, u)
	if err == nil {
		a.Ended, a.State, a.Reason, a.ExitCode, a.Signal = stored.Ended, stored.State, stored.Reason, stored.ExitCode, stored.Signal
		c.mu.Lock()
		c.given = c.given || u.o.Final
		c.mu.Unlock()
		c.here.acknowledged(c.id, e.fence, e.generation, a.RunID)
	}
	c.changed()
	failpoint.Here("finish.sent")
	err = u.end(ctx, err)
	if err == nil || errors.Is(err, ledger.ErrLost) {
		c.here.removeSpool(a.RunID)
	}
	c.mu.Lock()
	c.unsent = err != nil && !errors.Is(err, ledger.ErrLost)
	c.mu.Unlock()
	failpoint.Here("finish.done")
	return a, err
}

// sendEnd sends the output, and then the outcome. It returns the end as recorded.
func (e *execution) sendEnd(ctx context.Context, a *ledger.Attempt, missed ledger.Gaps, u *unsent) (stored ledger.Attempt, err error) {
	c := e.claim
	out, inline, err := e.endOutput(ctx, a, missed, u)
	if err != nil {
		return stored, err
	}
	u.output(*a, c.doneBy(*a), out, inline)
	failpoint.Here("finish.output")
	u.more = e.upload.dropStmts(out)
	if u.o.Final {
		u.more = append(u.more, c.leaveWithOutcome()...)
	}
	// The output may have taken half of the time.
	d := c.ledger.opt.FinishTimeout
	stored, err = u.send(ctx, d-min(time.Since(u.o.Ended), d/2))
	if errors.Is(err, ledger.ErrFull) && inline != nil { // the outcome matters more than the output
		a.Truncated = true
		u.output(*a, u.o.Done, output{storage: storageNone}, nil)
		stored, err = u.send(ctx, d/2)
	}
	return stored, err
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
