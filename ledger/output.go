package ledger

import (
	"errors"
	"os"
	"time"
)

// Stream is an output stream of a command.
type Stream uint8

// The streams, numbered like their file descriptors.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Output is the recorded output of one attempt.
type Output interface {
	// Check reads the whole recording and compares it with its checksums. It
	// returns the gaps that the recording names, or ErrCorrupt if a checksum
	// differs. If the attempt has no recorded end, Check does nothing.
	Check() (Gaps, error)

	// Replay calls Check, and then writes each piece to its stream in recorded
	// order. With ErrCorrupt, nothing is written. A nil file drops its stream. A
	// write error ends its stream only, and Replay returns a WriteErrors.
	Replay(stdout, stderr *os.File) error

	// Next returns the next piece, or io.EOF when there is none. While the
	// attempt is running, a later call can return more after io.EOF. The bytes of
	// the piece are valid until the next call.
	Next() (Chunk, error)

	Close() error
}

// WriteErrors are the write errors of a Replay. The field of a stream without an
// error is nil.
type WriteErrors struct{ Stdout, Stderr error }

func (e WriteErrors) Error() string { return errors.Join(e.Stdout, e.Stderr).Error() }

func (e WriteErrors) Unwrap() []error { return []error{e.Stdout, e.Stderr} }

// Chunk is one piece of recorded output. A chunk with Dropped > 0 has no bytes. It is
// a gap of that many bytes that were not kept. The Stream of a gap is 0 if it is
// unknown.
type Chunk struct {
	Stream  Stream
	At      time.Duration // since the attempt's start
	Bytes   []byte
	Dropped int64
}

// Capture describes how the output that a ledger received differs from the output
// that the command wrote.
type Capture struct {
	// Incomplete reports whether another process could still write to the output
	// when the recording ended, so its last bytes may be missing.
	Incomplete bool
	// Redacted reports whether something was removed from the output.
	Redacted bool
	// Unread counts bytes that the command wrote and the ledger did not receive.
	// They count as output that is not kept, after all other output.
	Unread Gaps
}

// Gaps counts the bytes of an output that are not recorded.
type Gaps struct {
	Stdout, Stderr int64
	Unknown        int64 // from one stream or from both
	// Removed is Attempt.OutputRemoved. All bytes are then Unknown.
	Removed time.Time
	// Unwanted reports whether no output was to be recorded. It is set only for an
	// attempt of an earlier version, which had no Attempt.NoOutput.
	Unwanted bool
}

// Add counts n missing bytes of a stream. The stream is 0 if it is unknown.
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
