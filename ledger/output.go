package ledger

import (
	"errors"
	"os"
	"time"
)

// Stream is one of the two output streams.
type Stream uint8

// The streams, numbered as their descriptors.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Output is the recorded output of one attempt.
type Output interface {
	// Check reads all that is recorded, compares it with its checksums
	// (ErrCorrupt if they differ), and returns what is not recorded, as far as
	// the recording says. Of an attempt without an end it checks nothing.
	Check() (Gaps, error)

	// Replay writes each piece to its stream, in recorded order, after a Check:
	// with ErrCorrupt, nothing is written. A nil writer drops its stream. A write
	// error ends its stream only. The error is then a WriteErrors.
	Replay(stdout, stderr *os.File) error

	// Next returns the next piece, or io.EOF when there is none (for a running
	// attempt: none yet). p is valid until the next call.
	Next() (Chunk, error)

	Close() error
}

// WriteErrors are the errors of the streams that Replay writes to, nil for a
// stream without one.
type WriteErrors struct{ Stdout, Stderr error }

func (e WriteErrors) Error() string { return errors.Join(e.Stdout, e.Stderr).Error() }

func (e WriteErrors) Unwrap() []error { return []error{e.Stdout, e.Stderr} }

// Chunk is one piece of recorded output. A chunk with Dropped > 0 has no bytes:
// it stands for that many bytes that were not kept, of a stream that is 0 if it
// is not known.
type Chunk struct {
	Stream  Stream
	At      time.Duration // since the attempt's start
	Bytes   []byte
	Dropped int64
}

// Capture says how the output that a ledger was given differs from the output
// that the command wrote.
type Capture struct {
	// Incomplete reports whether another process could still write to the output
	// when the recording ended, so its last bytes may be missing.
	Incomplete bool
	// Redacted reports whether something was taken out of the output.
	Redacted bool
	// Unread counts bytes that were written and never given to the ledger. They
	// count as output that is not kept, behind all other output.
	Unread Gaps
}

// Gaps counts the bytes of an output that are not recorded.
type Gaps struct {
	Stdout, Stderr int64
	Unknown        int64 // of one of the streams or of both
	// Unwanted reports whether none was to be recorded. Only an attempt that an
	// earlier version has recorded has this instead of Attempt.NoOutput.
	Unwanted bool
}

// Add counts n bytes of a stream, which may be 0 for unknown.
func (g *Gaps) Add(s Stream, n int64) {
	switch s {
	case Stdout:
		g.Stdout += n
	case Stderr:
		g.Stderr += n
	default:
		g.Unknown += n
	}
}

// Total returns the number of all missing bytes.
func (g Gaps) Total() int64 { return g.Stdout + g.Stderr + g.Unknown }
