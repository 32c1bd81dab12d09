package runner

import (
	"context"
	"errors"
	"io"

	"idem/ledger"
)

// The reasons why a record is not settled by hand.
var (
	ErrNothing = errors.New("nothing is recorded under the key")
	ErrInputs  = errors.New("the key is recorded with other inputs")
	ErrSame    = errors.New("the key has succeeded already") // to mark it done would only hide its output
	ErrDone    = errors.New("the key has succeeded, so this would run it again or hide what happened")
)

// Settlement is an outcome that a user records for a key.
type Settlement struct {
	State    ledger.State // Succeeded, Failed, or None: run it again
	ExitCode int
	RunID    string
	Note     string
	Owner    ledger.Owner

	// Bound makes it count for calls with Fingerprint and Inputs. Else the recorded
	// ones stay; a key that never ran then counts for calls with any inputs.
	Bound       bool
	Fingerprint string
	Inputs      []byte
	Replace     bool // also in place of the inputs that are recorded

	Stdout    io.Reader             // its output; nil for none
	MaxOutput int64                 // bytes of it to keep, negative: all
	Capture   func() ledger.Capture // see ledger.Mark

	Force bool // also when the key has succeeded
}

// Check returns why a record may not be settled so, or nil. A success is only changed
// with Force.
func (s Settlement) Check(rec ledger.Record) error {
	was := rec.Current.Fingerprint
	switch {
	case rec.Phase() == ledger.PhaseNone && s.State == ledger.None:
		return ErrNothing
	case s.Bound && was != "" && was != s.Fingerprint && !s.Replace:
		return ErrInputs
	case rec.Current.State != ledger.Succeeded || s.Force:
		return nil
	case s.State == ledger.Succeeded && s.Stdout == nil && s.ExitCode == 0 && (!s.Bound || was == s.Fingerprint):
		return ErrSame
	default:
		return ErrDone
	}
}

// Mark settles a key by hand, and returns the record as it was before. It fails as
// Check does, with *ledger.BusyError while the key is held, or with a fault of the
// ledger. On an error nothing is changed.
func Mark(ctx context.Context, l ledger.Ledger, id ledger.ID, s Settlement) (ledger.Record, error) {
	rec, err := l.Get(ctx, id)
	if err == nil {
		err = s.Check(rec) // before a claim would make a ledger
	}
	if err != nil {
		return rec, err
	}
	claim, err := l.Claim(ctx, id)
	if err != nil {
		return rec, err
	}
	defer claim.Release()
	if rec, err = claim.Record(ctx); err == nil {
		err = s.Check(rec)
	}
	if err != nil {
		return rec, err
	}
	m := ledger.Mark{
		Expect: rec, State: s.State, Reason: ledger.ReasonMarked, ExitCode: s.ExitCode,
		RunID: s.RunID, Note: s.Note, Owner: s.Owner,
		Fingerprint: rec.Current.Fingerprint, Inputs: rec.Current.Inputs,
		Stdout: s.Stdout, MaxOutput: s.MaxOutput, Capture: s.Capture,
	}
	if s.Bound {
		m.Fingerprint, m.Inputs = s.Fingerprint, s.Inputs
	}
	_, err = claim.Mark(ctx, m)
	return rec, err
}
