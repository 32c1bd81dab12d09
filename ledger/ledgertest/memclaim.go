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
	return x, nil
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
	if len(p) > 0 {
		x.out.size += int64(len(p))
	}
	if len(p) > 0 && !x.attempt.NoOutput {
		x.out.chunks = append(x.out.chunks, ledger.Chunk{
			Stream: s, At: time.Since(x.attempt.Started), Bytes: slices.Clone(p),
		})
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
	a.Truncated = x.max >= 0 && x.out.size > x.max && !a.NoOutput
	if a.Truncated {
		x.out.truncate(x.max)
	}
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
