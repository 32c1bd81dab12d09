package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"idem/ledger"
	"idem/ledger/postgres/wire"
	"idem/ledger/spool"
)

func spoolName(runID string) string { return filepath.Join("output", runID) }

func (s *local) createSpool(runID string) (*os.File, error) {
	return s.dir.Create(spoolName(runID), os.O_RDWR|os.O_EXCL)
}

// removeSpool removes the file of an attempt, if there is one.
func (s *local) removeSpool(runID string) { _ = s.dir.Remove(spoolName(runID)) }

// startOutput begins the recording of output. The times of pieces are measured from here, with
// the monotonic clock.
func (e *execution) startOutput(s ledger.Start) {
	if s.MaxOutput == 0 {
		return
	}
	u := newUpload(e.claim, s.RunID)
	e.upload = u
	e.spool = spool.NewWriter(s.MaxOutput, u.start, func() (*os.File, error) {
		f, err := e.claim.here.createSpool(s.RunID)
		if err == nil {
			if err = u.begin(e.spool); err != nil {
				_ = f.Close()
			}
		}
		return f, err
	})
}

// Write implements ledger.Execution.
func (e *execution) Write(s ledger.Stream, p []byte) {
	if e.spool == nil {
		e.unkept += int64(len(p))
		return
	}
	e.spool.Write(s, p)
}

// endOutput ends the recording and sends what does not fit in the row of the record. It sets
// the fields of a that describe the output. inline is nil unless the output is in the row.
//
// The outcome matters more than the output: if the server does not take the output, the attempt
// has none and is truncated. While it is not sent, u is kept on this host. The error is errImpatient
// if a user has left both to the keeper.
func (e *execution) endOutput(ctx context.Context, a *ledger.Attempt, missed ledger.Gaps, u *unsent) (out output, inline []byte, err error) {
	if e.spool == nil {
		a.OutputBytes = e.unkept + missed.Total()
		return output{storage: storageRefused}, nil, nil
	}
	e.spool.Miss(missed)
	sum, _ := e.spool.Close(false)
	defer e.upload.close()
	a.OutputBytes, a.Truncated = sum.Bytes, sum.Truncated
	if sum.Inline != nil {
		e.upload.drop()
		return output{storage: storageInline, size: int64(len(sum.Inline)), sum: sum.Sum}, sum.Inline, nil
	}
	u.output(*a, e.claim.doneBy(*a), output{storage: storageChunks, size: sum.Size, sum: sum.Sum}, nil)
	tries, stop := u.tries(ctx, tryTimeout, time.Now().Add(e.claim.ledger.opt.FinishTimeout))
	defer stop()
	err = e.upload.rest(tries, sum.Size, func() { u.keep() })
	switch {
	case err == nil:
		return output{storage: storageChunks, size: sum.Size, sum: sum.Sum, chunks: e.upload.pieces}, nil, nil
	case tries.Err() != nil: // the kept outcome has the output
		return out, nil, u.impatient()
	}
	a.Truncated = true
	return output{storage: storageNone}, nil, nil
}

// dropOutput ends the recording of an attempt whose command was not started.
func (e *execution) dropOutput() {
	if e.spool == nil {
		return
	}
	_, _ = e.spool.Close(false)
	e.upload.drop()
	e.upload.close()
	if e.upload.begun() {
		e.claim.ledger.dropPieces(context.Background(), e.attempt.RunID)
	}
}

// keepMarkOutput reads the output of a mark whose MaxOutput is not 0. A large output is sent as
// pieces, for the record with the given name, before the mark is recorded. If the mark is then not
// recorded, the caller calls dropPieces.
//
// Output that cannot be kept is an error, unlike that of a command: a mark need not be recorded
// without its output, because no command has run.
func (l *Ledger) keepMarkOutput(ctx context.Context, m ledger.Mark, name []byte) (out output, inline []byte, err error) {
	here, err := l.openLocal(ctx, true)
	if err != nil {
		return out, nil, err
	}
	var file *os.File // a second descriptor: the writer closes its own
	defer func() {
		if file != nil {
			_ = file.Close()
			here.removeSpool(m.RunID)
		}
	}()
	w := spool.NewWriter(m.MaxOutput, time.Now(), func() (f *os.File, err error) {
		if f, err = here.createSpool(m.RunID); err == nil {
			file, err = here.dir.Open(spoolName(m.RunID), os.O_RDONLY, 0)
		}
		return f, err
	})
	_, err = io.Copy(stdoutOf{w}, m.Stdout)
	c := m.Captured()
	w.Miss(c.Unread)
	sum, spoolErr := w.Close(false)
	if err = errors.Join(err, spoolErr); err != nil {
		return out, nil, err
	}
	if cut := c.Unread.Total() > 0 || m.MaxOutput >= 0 && sum.Bytes > m.MaxOutput; sum.Truncated && !cut {
		return out, nil, l.explain(fmt.Errorf("%w: the output of a mark", ledger.ErrFull))
	}
	if sum.Inline != nil {
		return output{storage: storageInline, size: int64(len(sum.Inline)), sum: sum.Sum}, sum.Inline, nil
	}
	s := sender{ledger: l, name: name, runID: m.RunID, mark: true, file: file}
	if err := s.send(ctx, sum.Size, l.opt.ConnectTimeout); err != nil {
		l.dropPieces(context.WithoutCancel(ctx), m.RunID)
		return out, nil, l.explain(err)
	}
	return output{storage: storageChunks, size: sum.Size, sum: sum.Sum, chunks: s.pieces}, nil, nil
}

// stdoutOf is a spool as the io.Writer of one stream.
type stdoutOf struct{ *spool.Writer }

func (w stdoutOf) Write(p []byte) (int, error) {
	w.Writer.Write(ledger.Stdout, p)
	return len(p), nil
}

// remember keeps a record that Get has read, because a replay reads its output next.
func (l *Ledger) remember(r record) { l.recent.Store(&r) }

// recall returns the record that Get read last, if it has the finished attempt.
func (l *Ledger) recall(id ledger.ID, runID string) *record {
	r := l.recent.Load()
	if r == nil || r.rec.ID != id || r.rec.Current.RunID != runID || runID == "" || r.rec.Current.State == ledger.Running {
		return nil
	}
	return r
}

// recallOutput is recall for the output. It is valid once: later the attempt may be forgotten.
func (l *Ledger) recallOutput(id ledger.ID, runID string) *record {
	r := l.recall(id, runID)
	if r == nil || r.out.storage == storageUnknown {
		return nil
	}
	used := *r
	used.out, used.inline = output{}, nil
	l.recent.CompareAndSwap(r, &used)
	return r
}

// attemptOf reads an attempt with its output. The error is ledger.ErrNotFound without it.
func (l *Ledger) attemptOf(ctx context.Context, id ledger.ID, runID string) (record, error) {
	if runID == "" {
		return record{}, ledger.ErrNotFound
	}
	var f family
	var earlier record
	found := false
	// The current attempt is read first: it can become an earlier one, but not the reverse.
	family := l.familyStmt(id, &f)
	history := l.stmt("select a.inline, "+columnsOf("a.", attemptColumns)+" from {s}.attempt a where a.id = $1 and a.run_id = $2", wire.Bytes(nameOf(id)), wire.Text(runID))
	history.Each = func(row *wire.Row) error {
		found = true
		earlier.inline = row.Bytes()
		earlier.rec.Current, earlier.out = scanAttempt(row)
		return nil
	}
	if err := l.do(ctx, wire.Read, family, history); err != nil {
		return record{}, err
	}
	if err := f.resolve(); err != nil {
		return record{}, l.explain(err)
	}
	switch {
	case f.own.rec.Current.RunID == runID:
		return f.own, nil
	case found && !f.own.stale:
		return earlier, nil
	}
	return record{}, ledger.ErrNotFound
}

// Output implements ledger.Ledger. After a Get of the same record, an output of at most 32 KiB
// takes no round trip.
func (l *Ledger) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := l.recallOutput(id, runID)
	if r == nil {
		found, err := l.attemptOf(ctx, id, runID)
		if err != nil {
			return nil, err
		}
		r = &found
	}
	out, err := l.open(ctx, id, *r)
	if errors.Is(err, ledger.ErrCorrupt) { // the output is damaged, or was removed or forgotten at the same time
		again, attemptErr := l.attemptOf(ctx, id, runID)
		switch {
		case attemptErr != nil:
			err = attemptErr
		case again.out.storage == storageRemoved:
			out, err = l.open(ctx, id, again)
		}
	}
	if err != nil {
		return nil, l.explain(err)
	}
	return out, nil
}

func (l *Ledger) open(ctx context.Context, id ledger.ID, r record) (ledger.Output, error) {
	runID := r.rec.Current.RunID
	switch r.out.storage {
	case storageInline:
		if int64(len(r.inline)) != r.out.size {
			return nil, fmt.Errorf("%w: the output of run %s", ledger.ErrCorrupt, runID)
		}
		return spool.OpenInline(r.inline, r.out.sum), nil
	case storageChunks:
		return l.download(ctx, runID, r.out)
	case storageUnknown:
		return l.follow(ctx, id, runID)
	case storageRemoved:
		return spool.Removed(r.rec.Current.OutputRemoved, r.rec.Current.OutputBytes), nil
	default:
		return spool.OpenInline(nil, 0), nil
	}
}

// Scratch implements ledger.Store.
func (l *Ledger) Scratch() (*os.File, error) {
	here, err := l.openLocal(context.Background(), true)
	if err != nil {
		return nil, err
	}
	f, err := here.dir.Scratch()
	return f, l.explain(err)
}

// Backlog implements ledger.Store.
func (l *Ledger) Backlog() (ledger.Backlog, error) {
	here, err := l.openLocal(context.Background(), true)
	if err != nil {
		return nil, err
	}
	b, err := here.dir.Backlog()
	if err != nil {
		return nil, l.explain(err) // not b, which would be a non-nil interface
	}
	return b, nil
}
