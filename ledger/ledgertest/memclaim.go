package ledgertest

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"idem/ledger"
)

type memClaim struct {
	handle *memHandle
	id     ledger.ID
	r      *memRecord
	begun  *memExecution // the latest execution
	// since is when the claim took its mutexes, or when it joined their lines.
	since time.Time
	owner ledger.Owner // of the call in the lines
}

func (c *memClaim) Record(ctx context.Context) (ledger.Record, error) {
	return c.handle.Get(ctx, c.id)
}

func (c *memClaim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	m, r := c.handle.Mem, c.r
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.holder != c {
		return nil, ledger.ErrLost
	}
	if err := s.Origin.Check(c.id); err != nil {
		return nil, err
	}
	if s.Fresh || s.Renew {
		if err := m.requireIdle(c.id); err != nil {
			return nil, err
		}
	}
	if err := m.takeMutexes(c, s.Mutexes); err != nil {
		return nil, err
	}
	if s.Fresh || s.Renew {
		if err := m.renew(c.id); err != nil {
			return nil, err
		}
	}
	if s.Fresh {
		r.forget()
	}
	r.adopt(s.Origin)
	x := &memExecution{m: m, r: r, before: r.attempts, touched: r.touched, max: s.MaxOutput, out: &memOutput{}}
	number := r.record(c.id).Attempts + 1
	r.settle()
	r.fence++
	x.fence = r.fence
	x.attempt = ledger.Attempt{
		Number: number, RunID: s.RunID, State: ledger.Running, Started: now(),
		Fingerprint: s.Fingerprint, Inputs: slices.Clone(s.Inputs), Owner: s.Owner, NoOutput: s.MaxOutput == 0,
		ParentRun: s.Origin.RunID,
	}
	r.attempts = append(slices.Clone(r.attempts), x.attempt)
	r.outputs[s.RunID] = x.out
	m.touch(r)
	c.begun = x
	return x, nil
}

func (c *memClaim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) {
	out := &memOutput{}
	if m.Stdout != nil {
		p, err := io.ReadAll(m.Stdout)
		if err != nil {
			return ledger.Attempt{}, err
		}
		out.add(ledger.Stdout, 0, p)
	}
	c.handle.mu.Lock()
	defer c.handle.mu.Unlock()
	r := c.r
	switch {
	case ctx.Err() != nil:
		return ledger.Attempt{}, ctx.Err()
	case r.holder != c:
		return ledger.Attempt{}, ledger.ErrLost
	case c.begun != nil && c.begun.mine():
		return ledger.Attempt{}, c.handle.busy(c.id)
	case r.changed(m.Expect):
		return ledger.Attempt{}, ledger.ErrChanged
	}
	if m.Renew {
		if err := c.handle.renew(c.id); err != nil {
			return ledger.Attempt{}, err
		}
	}
	r.adopt(m.Origin)
	r.settle()
	t := now()
	a := ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode, Started: t, Ended: t,
		Note: m.Note, Owner: m.Owner, Fingerprint: m.Fingerprint, Inputs: slices.Clone(m.Inputs),
		ParentRun: m.Origin.RunID, NoOutput: m.Stdout == nil,
	}
	if m.Stdout != nil {
		out.end(&a, m.MaxOutput, m.Captured())
	}
	r.attempts = append(slices.Clone(r.attempts), a)
	r.outputs[m.RunID] = out
	c.handle.touch(r)
	return a, nil
}

func (c *memClaim) Lost() <-chan struct{} {
	return nil
}

func (c *memClaim) Release() error {
	c.handle.mu.Lock()
	defer c.handle.mu.Unlock()
	if c.r.holder == c {
		c.handle.free(c.r)
	}
	return nil
}

type memExecution struct {
	m       *Mem
	r       *memRecord
	attempt ledger.Attempt
	fence   int64
	max     int64
	out     *memOutput
	before  []ledger.Attempt
	touched int64
}

func (x *memExecution) Attempt() ledger.Attempt { return x.attempt }

func (x *memExecution) Fence() int64 { return x.fence }

func (x *memExecution) Generation() int64 { return x.r.generation }

func (x *memExecution) Write(s ledger.Stream, p []byte) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	x.out.add(s, time.Since(x.attempt.Started), p)
	if x.attempt.NoOutput {
		x.out.chunks = nil
	}
}

// mine reports whether the attempt still belongs to this run.
func (x *memExecution) mine() bool {
	a := x.r.current()
	return a.RunID == x.attempt.RunID && a.State == ledger.Running
}

func (x *memExecution) Finish(_ context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	if !x.mine() {
		return ledger.Attempt{}, ledger.ErrLost
	}
	a := x.attempt
	a.State, a.Reason, a.ExitCode, a.Signal = o.State, o.Reason, o.ExitCode, o.Signal
	a.Ended = now()
	x.out.end(&a, x.max, o.Capture)
	a.Files = len(o.Files)
	x.r.files[a.RunID] = cloneFiles(o.Files)
	x.r.replace(a)
	return a, nil
}

func (x *memExecution) Abandon(context.Context) error {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	if !x.mine() {
		return ledger.ErrLost
	}
	x.r.attempts, x.r.touched = x.before, x.touched
	delete(x.r.outputs, x.attempt.RunID)
	return nil
}

type memOutput struct {
	chunks  []ledger.Chunk
	size    int64
	removed time.Time // see ledger.Attempt.OutputRemoved
}

func (o *memOutput) add(s ledger.Stream, at time.Duration, p []byte) {
	if len(p) > 0 {
		o.size += int64(len(p))
		o.chunks = append(o.chunks, ledger.Chunk{Stream: s, At: at, Bytes: slices.Clone(p)})
	}
}

// end truncates the output to limit bytes, unless limit is negative. It sets the
// fields of a that describe the output.
func (o *memOutput) end(a *ledger.Attempt, limit int64, c ledger.Capture) {
	a.OutputBytes = o.size + c.Unread.Total()
	a.Incomplete, a.Redacted = c.Incomplete, c.Redacted
	if a.NoOutput = limit == 0; a.NoOutput {
		o.chunks = nil
		return
	}
	if limit >= 0 && o.size > limit {
		o.truncate(limit)
		a.Truncated = true
	}
	if c.Unread.Total() > 0 {
		o.gap(0, c.Unread)
		a.Truncated = true
	}
}

func (o *memOutput) gap(at time.Duration, g ledger.Gaps) {
	for s, n := range []int64{g.Unknown, g.Stdout, g.Stderr} {
		if n > 0 {
			o.chunks = append(o.chunks, ledger.Chunk{Stream: ledger.Stream(s), At: at, Dropped: n})
		}
	}
}

// truncate keeps limit bytes: three quarters of them from the beginning and one quarter from
// the end. It is called when the attempt ends, so a reader of a running attempt sees all
// output.
func (o *memOutput) truncate(limit int64) {
	tail := limit / 4
	from, to := limit-tail, o.size-tail
	var head, end []ledger.Chunk
	var gaps ledger.Gaps
	at, pos := time.Duration(0), int64(0)
	for _, c := range o.chunks {
		n := int64(len(c.Bytes))
		first, last := min(max(from-pos, 0), n), min(max(to-pos, 0), n)
		pos += n
		part := func(p []byte) []ledger.Chunk {
			if len(p) == 0 {
				return nil
			}
			return []ledger.Chunk{{Stream: c.Stream, At: c.At, Bytes: p}}
		}
		head = append(head, part(c.Bytes[:first])...)
		end = append(end, part(c.Bytes[last:])...)
		if last > first {
			gaps.Add(c.Stream, last-first)
			at = c.At
		}
	}
	o.chunks = head
	o.gap(at, gaps)
	o.chunks = append(o.chunks, end...)
}

// memReader reads an output, even while it grows.
type memReader struct {
	m    *Mem
	from *memOutput
	next int
}

func (r *memReader) Next() (ledger.Chunk, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.next >= len(r.from.chunks) {
		return ledger.Chunk{}, io.EOF
	}
	r.next++
	return r.from.chunks[r.next-1], nil
}

func (r *memReader) Check() (g ledger.Gaps, err error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if !r.from.removed.IsZero() {
		return ledger.Gaps{Unknown: r.from.size, Removed: r.from.removed}, nil
	}
	for _, c := range r.from.chunks {
		if c.Dropped > 0 {
			g.Add(c.Stream, c.Dropped)
		}
	}
	return g, nil
}

func (r *memReader) Replay(stdout, stderr *os.File) error {
	to := map[ledger.Stream]*os.File{ledger.Stdout: stdout, ledger.Stderr: stderr}
	var errs ledger.WriteErrors
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) && errs != (ledger.WriteErrors{}) {
			return errs
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		f := to[c.Stream]
		if f == nil || c.Dropped > 0 {
			continue
		}
		if _, err := f.Write(c.Bytes); err != nil {
			to[c.Stream] = nil
			if c.Stream == ledger.Stdout {
				errs.Stdout = err
			} else {
				errs.Stderr = err
			}
		}
	}
}

func (r *memReader) Close() error {
	return nil
}

// changed reports whether a record differs from an earlier reading of it.
func (r *memRecord) changed(was ledger.Record) bool {
	current := r.current()
	return r.generation != was.Generation || current.RunID != was.Current.RunID || current.State != was.Current.State
}
