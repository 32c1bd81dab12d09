package runner

import (
	"bytes"
	"context"
	"errors"
	"os"

	"idem/ledger"
	"idem/proc"
)

// held is what a quiet command has said in one attempt, as it is recorded, while
// that is little. Output that the ledger could not keep is printed from here.
type held struct {
	runID  string
	pieces []ledger.Chunk
	size   int
}

func (h *held) add(s ledger.Stream, p []byte) {
	if h.size += len(p); h.size > inMemory {
		h.drop()
		return
	}
	h.pieces = append(h.pieces, ledger.Chunk{Stream: s, Bytes: bytes.Clone(p)})
}

// drop leaves it to the ledger.
func (h *held) drop() { h.size, h.pieces = inMemory+1, nil }

func (h *held) whole() bool { return h.size <= inMemory }

// bound keeps what is held of all attempts below a limit. The latest is dropped
// last: it alone may not be in the ledger.
func bound(said []*held) {
	total := 0
	for i := len(said) - 1; i >= 0; i-- {
		if h := said[i]; h.pieces != nil {
			if total += h.size; total > inMemory && i < len(said)-1 {
				h.drop()
			}
		}
	}
}

// sayHeld prints what was held back of a call that has failed now, attempt by
// attempt. A replay's streams have no part in it.
func (c *Call) sayHeld(ctx context.Context, l ledger.Ledger, res *Result, said []*held) {
	proc.OutlivePipe() // as in a replay
	lost := false
	for _, h := range said {
		if h.whole() {
			c.print(h, res)
			continue
		}
		if err := c.sayRecorded(ctx, l, res, h.runID); err != nil {
			res.Streams = append(res.Streams, err)
			lost = true
		}
		// The ledger cannot know how much there was.
		lost = lost || c.keeps() == 0 || res.Unrecorded != nil && h.runID == res.Record.Current.RunID
	}
	if lost {
		res.Streams = append(res.Streams, errPerhapsLost)
	}
}

// sayRecorded prints what the ledger has of an attempt.
func (c *Call) sayRecorded(ctx context.Context, l ledger.Ledger, res *Result, runID string) error {
	out, err := l.Output(ctx, res.Record.ID, runID)
	if err != nil {
		return err
	}
	defer out.Close()
	return res.replay(out, c.Stdout, c.Stderr)
}

// print writes what is held of one attempt, in order. After an error, a stream
// takes no more.
func (c *Call) print(h *held, res *Result) {
	to := map[ledger.Stream]*os.File{ledger.Stdout: c.Stdout, ledger.Stderr: c.Stderr}
	for _, p := range h.pieces {
		f := to[p.Stream]
		if f == nil {
			continue
		}
		if err := proc.WriteAll(f, p.Bytes); err != nil {
			to[p.Stream] = nil
			res.unwritten(f, err)
		}
	}
}

var errPerhapsLost = errors.New("the ledger may lack a part of it")
