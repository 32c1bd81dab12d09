package ledgertest

import (
	"cmp"
	"context"
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
	begun  *memExecution // the last one
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
	x := &memExecution{m: m, r: r, before: r.attempts, touched: r.touched, max: s.MaxOutput, out: &memOutput{}}
	number := r.record(c.id).Attempts + 1
	r.settle()
	r.fence++
	x.fence = r.fence
	x.attempt = ledger.Attempt{
		Number: number, RunID: s.RunID, State: ledger.Running, Started: now(),
		Fingerprint: s.Fingerprint, Inputs: slices.Clone(s.Inputs), Owner: s.Owner, NoOutput: s.NoOutput,
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
	current, expected := r.current(), m.Expect.Current
	changed := r.generation != m.Expect.Generation || current.RunID != expected.RunID || current.State != expected.State
	switch {
	case ctx.Err() != nil:
		return ledger.Attempt{}, ctx.Err()
	case r.holder != c:
		return ledger.Attempt{}, ledger.ErrLost
	case c.begun != nil && c.begun.mine():
		return ledger.Attempt{}, c.handle.busy(c.id)
	case changed:
		return ledger.Attempt{}, ledger.ErrChanged
	}
	r.settle()
	t := now()
	a := ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode, Started: t, Ended: t,
		Note: m.Note, Owner: m.Owner, Fingerprint: m.Fingerprint, Inputs: slices.Clone(m.Inputs),
		OutputBytes: out.size, Truncated: out.limit(m.MaxOutput),
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

func (x *memExecution) Write(s ledger.Stream, p []byte) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	x.out.add(s, time.Since(x.attempt.Started), p)
	if x.attempt.NoOutput {
		x.out.chunks = nil
	}
}

// mine tells whether the attempt is still this run's.
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
	a.OutputBytes = x.out.size
	a.Truncated = !a.NoOutput && x.out.limit(x.max)
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
	chunks []ledger.Chunk
	size   int64
}

func (o *memOutput) add(s ledger.Stream, at time.Duration, p []byte) {
	if len(p) > 0 {
		o.size += int64(len(p))
		o.chunks = append(o.chunks, ledger.Chunk{Stream: s, At: at, Bytes: slices.Clone(p)})
	}
}

// limit truncates what is longer than most, if that is not negative, and tells
// whether it was.
func (o *memOutput) limit(most int64) bool {
	if most < 0 || o.size <= most {
		return false
	}
	o.truncate(most)
	return true
}

// truncate keeps the first three quarters of limit and the last one. It is
// done at the end: a reader of a running attempt sees everything.
func (o *memOutput) truncate(limit int64) {
	tail := limit / 4
	from, to := limit-tail, o.size-tail
	var kept []ledger.Chunk
	pos := int64(0)
	for _, c := range o.chunks {
		end := pos + int64(len(c.Bytes))
		if pos < from {
			head := c
			head.Bytes = c.Bytes[:min(end, from)-pos]
			kept = append(kept, head)
		}
		if end > from && pos <= from {
			kept = append(kept, ledger.Chunk{Stream: c.Stream, At: c.At, Dropped: to - from})
		}
		if end > to {
			c.Bytes = c.Bytes[max(pos, to)-pos:]
			kept = append(kept, c)
		}
		pos = end
	}
	o.chunks = kept
}

// memReader reads an output, also one that still grows.
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

func (r *memReader) Replay(stdout, stderr *os.File) error {
	to := map[ledger.Stream]*os.File{ledger.Stdout: stdout, ledger.Stderr: stderr}
	var first error
	for {
		c, err := r.Next()
		if err == io.EOF {
			return first
		}
		if f := to[c.Stream]; f != nil {
			if _, err := f.Write(c.Bytes); err != nil {
				first = cmp.Or(first, err)
				to[c.Stream] = nil
			}
		}
	}
}

func (r *memReader) Close() error {
	return nil
}
