package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"idem/ledger"
	"idem/proc"
)

// held is what a quiet command has said, as it is recorded, while that is little.
// What the ledger could not keep is printed from here.
type held struct {
	pieces []ledger.Chunk
	size   int
}

func (h *held) add(s ledger.Stream, p []byte) {
	if h.size += len(p); h.size > inMemory {
		h.size, h.pieces = inMemory+1, nil
		return
	}
	h.pieces = append(h.pieces, ledger.Chunk{Stream: s, Bytes: bytes.Clone(p)})
}

// write writes it, in order. It returns false when it was too much to be held.
func (h *held) write(stdout, stderr *os.File) (whole bool, err error) {
	to := map[ledger.Stream]*os.File{ledger.Stdout: stdout, ledger.Stderr: stderr}
	for _, p := range h.pieces {
		if to[p.Stream] == nil {
			continue
		}
		if _, err2 := to[p.Stream].Write(p.Bytes); err2 != nil {
			to[p.Stream], err = nil, errors.Join(err, err2)
		}
	}
	return h.size <= inMemory, err
}

// sayHeld prints what was held back of a call that has failed now. A replay's
// streams have no part in it.
func (c *Call) sayHeld(ctx context.Context, l ledger.Ledger, res *Result) {
	proc.OutlivePipe() // as in a replay
	whole, err := res.held.write(c.Stdout, c.Stderr)
	if !whole {
		err = c.replay(ctx, l, res.Record, res, c.Stdout, c.Stderr)
	}
	switch {
	case err != nil && !errors.Is(err, syscall.EPIPE):
		res.Streams = append(res.Streams, fmt.Errorf("what was held back of the output is not printed whole: %w", err))
	case !whole && res.Unrecorded != nil: // the ledger cannot know how much there was
		res.Streams = append(res.Streams, errPerhapsLost)
	}
}

var errPerhapsLost = errors.New("what was held back of the output may not be printed whole")
