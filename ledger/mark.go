package ledger

import "io"

// Mark settles a key without running its command: by hand, or by the answer of a
// probe or a verification.
type Mark struct {
	// Expect is the record on which the decision to mark is based. Its current
	// attempt must still be current and in the same state.
	Expect   Record
	State    State  // Succeeded, Failed, Batch, or None for "run it again"
	Reason   Reason // ReasonMarked, ReasonProbed or ReasonUnverified
	ExitCode int
	RunID    string
	Note     string
	Owner    Owner
	// Fingerprint and Inputs are those of the calls that the mark counts for. With
	// an empty Fingerprint, the mark counts for any call.
	Fingerprint string
	Inputs      []byte
	Origin      Origin // as in Start
	Renew       bool   // as in Start
	// Stdout is read to its end and recorded as the output. MaxOutput limits it as
	// in Start. Nil means that the output is unknown: the attempt has NoOutput.
	Stdout    io.Reader
	MaxOutput int64
	// Capture is called after Stdout has been read to its end. If it is nil, Stdout
	// is the complete output.
	Capture func() Capture
}

// Captured returns the result of m.Capture, or the zero Capture without one.
func (m Mark) Captured() Capture {
	if m.Capture == nil {
		return Capture{}
	}
	return m.Capture()
}
