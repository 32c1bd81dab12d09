package runner

import (
	"bytes"
	"context"
	"errors"
	"os"

	"idem/internal/fdio"
	"idem/ledger"
	"idem/proc"
)

// heldOutput is the redacted output of one attempt of a quiet command, up to inMemory bytes.
// Output that the ledger could not keep is printed from here.
type heldOutput struct {
	runID  string
	pieces []ledger.Chunk
	size   int
}

func (h *heldOutput) add(s ledger.Stream, p []byte) {
	if h.size += len(p); h.size > inMemory {
		h.drop()
		return
	}
	h.pieces = append(h.pieces, ledger.Chunk{Stream: s, Bytes: bytes.Clone(p)})
}

// drop discards the output, so only the ledger has it.
func (h *heldOutput) drop() { h.size, h.pieces = inMemory+1, nil }

func (h *heldOutput) whole() bool { return h.size <= inMemory }

// boundHeldOutput limits the memory for the output of all attempts to about inMemory
// bytes. It never drops the latest output, because only that may be missing in the
// ledger.
func boundHeldOutput(outputs []*heldOutput) {
	total := 0
	for i := len(outputs) - 1; i >= 0; i-- {
		if h := outputs[i]; h.pieces != nil {
			if total += h.size; total > inMemory && i < len(outputs)-1 {
				h.drop()
			}
		}
	}
}

// printHeldOutput prints the output of a quiet call that has failed, attempt by
// attempt, to the live streams.
func (c *call) printHeldOutput(ctx context.Context, res *Result, outputs []*heldOutput) {
	proc.OutlivePipe() // as in a replay
	lost := false
	for _, h := range outputs {
		if h.whole() {
			c.print(h, res)
			continue
		}
		if err := c.printRecorded(ctx, res, h.runID); err != nil {
			res.Streams = append(res.Streams, err)
			lost = true
		}
		// In these cases the ledger does not know how much output there was.
		lost = lost || c.Output.recordLimit() == 0 || res.Unrecorded != nil && h.runID == res.Record.Current.RunID
	}
	if lost {
		res.Streams = append(res.Streams, errPerhapsLost)
	}
}

// printRecorded prints the output of an attempt that is in the ledger.
func (c *call) printRecorded(ctx context.Context, res *Result, runID string) error {
	out, err := c.Ledger.Output(ctx, res.Record.ID, runID)
	if err != nil {
		return err
	}
	defer out.Close()
	return res.replay(out, c.Live.Stdout, c.Live.Stderr)
}

// print writes the held output of one attempt in order. After an error it writes
// nothing more to that stream.
func (c *call) print(h *heldOutput, res *Result) {
	to := map[ledger.Stream]*os.File{ledger.Stdout: c.Live.Stdout, ledger.Stderr: c.Live.Stderr}
	for _, p := range h.pieces {
		f := to[p.Stream]
		if f == nil {
			continue
		}
		if err := fdio.WriteAll(f, p.Bytes); err != nil {
			to[p.Stream] = nil
			res.addWriteError(f, err)
		}
	}
}

var errPerhapsLost = errors.New("the ledger may lack a part of it")
