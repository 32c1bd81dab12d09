package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"idem/ledger"
	"idem/ledger/spool"
)

// Mark implements ledger.Claim.
func (c *claim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) {
	l := c.ledger
	if err := errors.Join(c.checkHeld(), ctx.Err()); err != nil {
		return ledger.Attempt{}, err
	}
	c.takeFirst()
	c.mu.Lock()
	executing := c.life != nil
	c.mu.Unlock()
	if executing {
		return ledger.Attempt{}, l.busy(ctx, c.id, false)
	}
	at := fromMicros(micros(l.now()))
	var gone spools
	var undone attemptRow
	row := attemptRow{storage: storageNone, a: ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode, Started: at, Ended: at,
		Fingerprint: m.Fingerprint, Inputs: m.Inputs, Owner: m.Owner, Note: m.Note, ParentRun: m.Origin.RunID,
	}}
	var inline []byte
	var err error
	if m.Stdout != nil {
		inline, err = l.readMarkOutput(m, &row)
	} else {
		row.storage, row.a.NoOutput = storageRefused, true
	}
	if err == nil {
		ctx = context.WithoutCancel(ctx)
		err = l.confirmed(ctx, l.write, c.id, &row, func(tx querier) (err error) {
			gone = nil
			undone, err = c.mark(ctx, tx, m, &row, inline, &gone)
			return err
		})
	}
	if row.storage != storageFile || err != nil && !errors.Is(err, errUnknown) {
		l.removeSpool(m.RunID)
	}
	if err == nil {
		l.removeSpools(gone)
		undone.forgetUnstarted()
		err = l.checkPlace()
	}
	if errors.As(err, new(*ledger.BusyError)) {
		return ledger.Attempt{}, err
	}
	return row.a, l.explain(err)
}

// readMarkOutput reads the output of a mark, and sets the fields of row that describe it.
// It returns a small output and writes a large one to a file. A kill -9 before the commit
// leaves a file that no record names.
//
// Output that cannot be kept is an error, unlike that of a command: a mark need not be
// recorded without its output, because no command has run.
func (l *Ledger) readMarkOutput(m ledger.Mark, row *attemptRow) ([]byte, error) {
	if m.MaxOutput == 0 {
		n, err := io.Copy(io.Discard, m.Stdout)
		capture := m.Captured()
		row.storage, row.a.NoOutput, row.a.OutputBytes = storageRefused, true, n+capture.Unread.Total()
		row.a.Incomplete, row.a.Redacted = capture.Incomplete, capture.Redacted
		return nil, err
	}
	w := spool.NewWriter(m.MaxOutput, time.Now(), func() (*os.File, error) { return l.createSpool(m.RunID) })
	_, err := io.Copy(stdoutOf{w}, m.Stdout)
	capture := m.Captured()
	w.Miss(capture.Unread)
	row.a.Incomplete, row.a.Redacted = capture.Incomplete, capture.Redacted
	sum, spoolErr := w.Close(err == nil)
	if err = errors.Join(err, spoolErr); err != nil {
		return nil, err
	}
	if cut := capture.Unread.Total() > 0 || m.MaxOutput >= 0 && sum.Bytes > m.MaxOutput; sum.Truncated && !cut {
		return nil, fmt.Errorf("%w: the output of a mark", ledger.ErrFull)
	}
	if sum.Inline == nil {
		if err := l.syncSpools(); err != nil {
			return nil, err
		}
	}
	row.keepOutput(sum, true)
	return sum.Inline, nil
}

// stdoutOf is a spool as the io.Writer of one stream.
type stdoutOf struct{ *spool.Writer }

func (w stdoutOf) Write(p []byte) (int, error) {
	w.Writer.Write(ledger.Stdout, p)
	return len(p), nil
}

// mark makes row the current attempt of the record. It returns ledger.ErrChanged if the
// record differs from m.Expect. undone is that of readClaimed.
func (c *claim) mark(ctx context.Context, tx querier, m ledger.Mark, row *attemptRow, inline []byte, gone *spools) (undone attemptRow, err error) {
	now, last, undone, err := readClaimed(ctx, tx, c.id)
	if err != nil {
		return undone, err
	}
	if differs(m.Expect, now.rec.Generation, last.a) {
		return undone, ledger.ErrChanged
	}
	if err := now.dropStale(ctx, tx, gone); err != nil {
		return undone, err
	}
	if last.a.State == ledger.Running {
		if err := recordLost(ctx, tx, c.id, last); err != nil {
			return undone, err
		}
	}
	if m.Renew {
		if err := c.ledger.renew(ctx, tx, &now); err != nil {
			return undone, err
		}
	}
	if err := c.ledger.adopt(ctx, tx, &now, m.Origin, gone); err != nil {
		return undone, err
	}
	if err := addAttempt(ctx, tx, &now, row); err != nil {
		return undone, err
	}
	keepReceipt(tx, now, *row, inline)
	return undone, insertOutput(ctx, tx, *row, inline)
}

// differs reports whether a record has another generation or another current attempt than
// when it was read.
func differs(was ledger.Record, generation int64, current ledger.Attempt) bool {
	return generation != was.Generation || current.RunID != was.Current.RunID || current.State != was.Current.State
}
