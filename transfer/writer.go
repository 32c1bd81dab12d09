package transfer

import (
	"bufio"
	"hash/maphash"
	"io"

	"idem/ledger"
)

const (
	// lineOutput is the number of bytes of output from which on a line of pieces ends. A piece has at
	// most 1 MiB.
	lineOutput = 256 << 10
	// linePieces is the number of pieces from which on a line ends.
	linePieces = 4096
	// lineFile is the maximum number of bytes of a file in one line.
	lineFile = 1 << 20
)

// writer writes an export.
type writer struct {
	lines   lineWriter
	records int
	seed    maphash.Seed
	told    map[uint64]struct{} // hashes of the numbers that were written
	pieces  []piece             // not written yet
	size    int                 // of their data
}

func newWriter(to io.Writer, h Header) (*writer, error) {
	w := &writer{lines: lineWriter{to: bufio.NewWriterSize(to, 64<<10)}, seed: maphash.MakeSeed(), told: map[uint64]struct{}{}}
	return w, w.lines.write(&headerLine{typeLedger, Schema, h.Idem, *timeOrNil(h.Exported), h.Outputs, h.Secret, h.SecretID})
}

// numbers writes the numbers of a record, unless the same line was written before. For history, see
// numbersLine.
func (w *writer) numbers(r ledger.Record, history bool) error {
	line := numbersLine{
		typeNumbers, text(r.ID.Namespace), text(r.ID.Key), text(r.ID.Window), r.Generation, r.Fence, r.Series, history,
	}
	hash := maphash.Comparable(w.seed, line)
	if _, ok := w.told[hash]; ok {
		return nil
	}
	w.told[hash] = struct{}{}
	return w.lines.write(&line)
}

// record begins a record with n attempts.
func (w *writer) record(r ledger.Record, n int) error {
	w.records++
	var parent *text
	if r.Parent != (ledger.ID{}) {
		key := text(r.Parent.Key)
		parent = &key
	}
	return w.lines.write(&recordLine{
		typeRecord, text(r.ID.Namespace), text(r.ID.Key), text(r.ID.Window), parent, string(r.Current.State), r.Current.RunID, timeOrNil(r.Current.Started), r.Generation, r.Fence, r.Series, n,
	})
}

func (w *writer) attempt(a ledger.Attempt) error {
	return w.lines.write(&attemptLine{
		Type: typeAttempt, Number: a.Number, RunID: a.RunID, State: string(a.State), Reason: string(a.Reason), ExitCode: a.ExitCode, Signal: a.Signal,
		Started: timeOrNil(a.Started), Ended: timeOrNil(a.Ended), Fingerprint: text(a.Fingerprint), Inputs: inputs(a.Inputs),
		Host: text(a.Owner.Host), PID: a.Owner.PID, User: text(a.Owner.User), Note: text(a.Note), ParentRun: a.ParentRun,
		OutputBytes: a.OutputBytes, Truncated: a.Truncated, Incomplete: a.Incomplete, Redacted: a.Redacted, NoOutput: a.NoOutput,
		OutputRemovedAt: timeOrNil(a.OutputRemoved), Files: a.Files,
	})
}

// output writes a piece of the output of the attempt. flush ends the output.
func (w *writer) output(c ledger.Chunk) error {
	for len(c.Bytes) > mostPiece {
		first := c
		first.Bytes, c.Bytes = c.Bytes[:mostPiece], c.Bytes[mostPiece:]
		if err := w.piece(first); err != nil {
			return err
		}
	}
	return w.piece(c)
}

func (w *writer) piece(c ledger.Chunk) error {
	p := piece{Stream: int(c.Stream), At: c.At.Microseconds(), Dropped: c.Dropped}
	if c.Dropped == 0 {
		p.Data = append([]byte(nil), c.Bytes...) // valid until the next piece only
	}
	w.pieces, w.size = append(w.pieces, p), w.size+len(p.Data)
	if w.size < lineOutput && len(w.pieces) < linePieces {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if len(w.pieces) == 0 {
		return nil
	}
	err := w.lines.write(&outputLine{typeOutput, w.pieces})
	w.pieces, w.size = w.pieces[:0], 0
	return err
}

func (w *writer) file(f ledger.File) error {
	for rest := f.Content; ; {
		part := rest[:min(len(rest), lineFile)]
		rest = rest[len(part):]
		if part == nil {
			part = []byte{}
		}
		if err := w.lines.write(&fileLine{typeFile, text(f.Name), f.Place, f.Lost, part, len(rest) > 0}); err != nil || len(rest) == 0 {
			return err
		}
	}
}

func (w *writer) end() error {
	if err := w.lines.write(&endLine{typeEnd, w.records}); err != nil {
		return err
	}
	return w.lines.to.Flush()
}
