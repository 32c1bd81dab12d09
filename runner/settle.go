package runner

import (
	"context"
	"errors"
	"io"

	"idem/ledger"
)

// Why a record is not settled by hand.
var (
	ErrNothing = errors.New("nothing is recorded under the key")
	ErrInputs  = errors.New("the key is recorded with other inputs")
	ErrSame    = errors.New("the key has succeeded already") // to mark it done would only hide its output
	ErrDone    = errors.New("the key has succeeded, so this would run it again or hide what happened")
)

// Settlement is what a person wants to be recorded of a key.
type Settlement struct {
	State    ledger.State // Succeeded, Failed, or None: run it again
	ExitCode int
	RunID    string
	Note     string
	Owner    ledger.Owner

	// Bound tells that it counts for the calls with Fingerprint and Inputs. Else
	// those that are recorded stay; of a key that never ran, any call's do.
	Bound       bool
	Fingerprint string
	Inputs      []byte
	Replace     bool // also in place of others that are recorded

	Stdout    io.Reader             // its output; nil for none
	MaxOutput int64                 // bytes of it to keep, negative: all
	Capture   func() ledger.Capture // see ledger.Mark

	Force bool // also when the key has succeeded
}

// Check says whether a record may be settled so. What has succeeded is only
// touched with Force.
func (h Settlement) Check(rec ledger.Record) error {
	was := rec.Current.Fingerprint
	switch {
	case rec.Phase() == ledger.PhaseNone && h.State == ledger.None:
		return ErrNothing
	case h.Bound && was != "" && was != h.Fingerprint && !h.Replace:
		return ErrInputs
	case rec.Current.State != ledger.Succeeded || h.Force:
		return nil
	case h.State == ledger.Succeeded && h.Stdout == nil && h.ExitCode == 0 && (!h.Bound || was == h.Fingerprint):
		return ErrSame
	default:
		return ErrDone
	}
}

// Mark settles a key by hand, and returns the record as it was before. It fails
// as Check does, with *ledger.BusyError while the key is held, or with what is
// wrong with the ledger; nothing is changed then.
func Mark(ctx context.Context, l ledger.Ledger, id ledger.ID, h Settlement) (ledger.Record, error) {
	rec, err := l.Get(ctx, id)
	if err == nil {
		err = h.Check(rec) // before a claim would make a ledger
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
		err = h.Check(rec)
	}
	if err != nil {
		return rec, err
	}
	m := ledger.Mark{
		Expect: rec, State: h.State, Reason: ledger.ReasonMarked, ExitCode: h.ExitCode,
		RunID: h.RunID, Note: h.Note, Owner: h.Owner,
		Fingerprint: rec.Current.Fingerprint, Inputs: rec.Current.Inputs,
		Stdout: h.Stdout, MaxOutput: h.MaxOutput, Capture: h.Capture,
	}
	if h.Bound {
		m.Fingerprint, m.Inputs = h.Fingerprint, h.Inputs
	}
	_, err = claim.Mark(ctx, m)
	return rec, err
}
