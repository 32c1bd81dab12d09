// Package none is the ledger of a call that runs without one. Every key is free and has
// never run, every mutex has a free place, and all records are lost when the process
// ends. With it, a call whose ledger cannot be used runs the same code as any other call.
// All features work except those that need a memory of earlier calls.
package none

import (
	"context"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/spool"
)

// Ledger implements ledger.Ledger for the calls of one process.
type Ledger struct {
	keep bool

	mu      sync.Mutex
	outputs map[string]*output // by run ID
}

// New returns a ledger. With keep, the output of an attempt can be read until this
// process ends. Up to 32 KiB of output are held in memory, and a larger output in a
// temporary file without a name. Without keep, output is only counted.
func New(keep bool) *Ledger { return &Ledger{keep: keep, outputs: map[string]*output{}} }

// output is the recorded output of an attempt.
type output struct {
	writer *spool.Writer
	file   *os.File // nil while all of it is in memory
	sum    spool.Summary
}

func (l *Ledger) newOutput(runID string, limit int64, start time.Time) *output {
	o := &output{}
	o.writer = spool.NewWriter(limit, start, func() (*os.File, error) {
		f, err := os.CreateTemp("", "idem-")
		if err != nil {
			return nil, err
		}
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return nil, err
		}
		// The writer closes its descriptor. The file has no name by which it could be
		// opened again, so a reader needs a copy.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			f.Close()
			return nil, err
		}
		o.file = os.NewFile(uintptr(fd), f.Name())
		return f, nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outputs[runID] = o
	return o
}

// end ends the recording and sets the fields of a that describe the kept output.
func (o *output) end(a *ledger.Attempt, c ledger.Capture) {
	o.writer.Miss(c.Unread)
	o.sum, _ = o.writer.Close(false) // without sync, Close cannot fail
	a.OutputBytes, a.Truncated = o.sum.Bytes, o.sum.Truncated
	if o.sum.Inline != nil && o.file != nil { // all output is in memory too
		o.file.Close()
		o.file = nil
	}
}

// Get implements ledger.Ledger.
func (l *Ledger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	return ledger.Record{ID: id}, ctx.Err()
}

// Claim implements ledger.Ledger. No key is ever held.
func (l *Ledger) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	return &claim{ledger: l, id: id}, ctx.Err()
}

// Wait implements ledger.Ledger.
func (l *Ledger) Wait(context.Context, ledger.ID) error { return nil }

// List implements ledger.Ledger.
func (l *Ledger) List(context.Context, ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(func(ledger.Record, error) bool) {}
}

// Attempts implements ledger.Ledger.
func (l *Ledger) Attempts(ctx context.Context, _ ledger.ID) ([]ledger.Attempt, error) {
	return nil, ctx.Err()
}

// Output implements ledger.Ledger for attempts of this process that have ended.
func (l *Ledger) Output(_ context.Context, _ ledger.ID, runID string) (ledger.Output, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.outputs[runID]
	switch {
	case o == nil:
		return nil, ledger.ErrNotFound
	case o.sum.Inline != nil || o.file == nil:
		return spool.OpenInline(o.sum.Inline, o.sum.Sum), nil
	}
	fd, err := unix.FcntlInt(o.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return spool.OpenFile(os.NewFile(uintptr(fd), o.file.Name()), o.sum.Size, o.sum.Sum), nil
}

// Files implements ledger.Ledger.
func (l *Ledger) Files(context.Context, ledger.ID, string) ([]ledger.File, error) {
	return nil, ledger.ErrNotFound
}

// Mutexes implements ledger.Ledger. No mutex is ever held.
func (l *Ledger) Mutexes(ctx context.Context, _ string, _ ...string) ([]ledger.MutexState, error) {
	return nil, ctx.Err()
}

// Forget implements ledger.Ledger.
func (l *Ledger) Forget(context.Context, ledger.ID) error { return ledger.ErrNotFound }

// ForgetIf implements ledger.Ledger.
func (l *Ledger) ForgetIf(context.Context, ledger.Record) error { return ledger.ErrNotFound }

// Close implements ledger.Ledger.
func (l *Ledger) Close() error { return nil }

// claim implements ledger.Claim. It does not exclude other calls.
type claim struct {
	ledger   *Ledger
	id       ledger.ID
	attempts int
}

func (c *claim) Record(ctx context.Context) (ledger.Record, error) { return c.ledger.Get(ctx, c.id) }

func (c *claim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.attempts++
	e := &execution{attempt: ledger.Attempt{
		Number: c.attempts, RunID: s.RunID, State: ledger.Running, Started: time.Now().UTC(),
		Fingerprint: s.Fingerprint, Inputs: s.Inputs, Owner: s.Owner, NoOutput: s.MaxOutput == 0 || !c.ledger.keep,
		ParentRun: s.Origin.RunID,
	}}
	if !e.attempt.NoOutput {
		e.output = c.ledger.newOutput(s.RunID, s.MaxOutput, e.attempt.Started)
	}
	return e, nil
}

func (c *claim) Queue(context.Context, []ledger.Mutex, ledger.Owner) error { return nil }

func (c *claim) Adopt(context.Context, ledger.Origin) error { return nil }

func (c *claim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) {
	now := time.Now().UTC()
	a := ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode, Started: now, Ended: now,
		Fingerprint: m.Fingerprint, Inputs: m.Inputs, Owner: m.Owner, Note: m.Note, ParentRun: m.Origin.RunID,
	}
	o := c.ledger.newOutput(m.RunID, m.MaxOutput, now)
	if m.Stdout != nil {
		if _, err := io.Copy(writer{o.writer}, m.Stdout); err != nil {
			return ledger.Attempt{}, err
		}
	}
	o.end(&a, m.Captured())
	return a, ctx.Err()
}

func (c *claim) Lost() <-chan struct{} { return nil }
func (c *claim) Release() error        { return nil }

// writer is an io.Writer that records its input as stdout.
type writer struct{ to *spool.Writer }

func (w writer) Write(p []byte) (int, error) {
	w.to.Write(ledger.Stdout, p)
	return len(p), nil
}

// execution implements ledger.Execution.
type execution struct {
	attempt ledger.Attempt
	output  *output // nil: output is only counted
}

func (e *execution) Attempt() ledger.Attempt { return e.attempt }
func (e *execution) Fence() int64            { return 0 }
func (e *execution) Generation() int64       { return 0 }

func (e *execution) Write(s ledger.Stream, p []byte) {
	if e.output == nil {
		e.attempt.OutputBytes += int64(len(p))
		return
	}
	e.output.writer.Write(s, p)
}

func (e *execution) Finish(_ context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	a := e.attempt
	a.State, a.Reason, a.ExitCode, a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	a.Ended, a.Files = time.Now().UTC(), len(o.Files)
	a.Incomplete, a.Redacted = o.Capture.Incomplete, o.Capture.Redacted
	if e.output != nil {
		e.output.end(&a, o.Capture)
	} else {
		a.OutputBytes += o.Capture.Unread.Total()
	}
	return a, nil
}

func (e *execution) Abandon(context.Context) error { return nil }
