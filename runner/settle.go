package runner

import (
	"context"
	"errors"
	"io"

	"idem/ledger"
)

// The reasons why a record cannot be settled by hand.
var (
	ErrNothing = errors.New("nothing is recorded under the key")
	ErrInputs  = errors.New("the key is recorded with other inputs")
	ErrSame    = errors.New("the key has succeeded already") // marking it done would only hide its output
	ErrDone    = errors.New("the key has succeeded, so this would run it again or hide what happened")
	ErrBatch   = errors.New("the key is a batch, so it has no outcome")
)

// Settlement is an outcome that a user records for a key.
type Settlement struct {
	State    ledger.State // Succeeded, Failed, or None: run it again
	ExitCode int
	RunID    string
	Note     string
	Owner    ledger.Owner

	// Bound makes the settlement count for calls with Fingerprint and Inputs. If it is
	// not set, the recorded inputs stay, and a key that never ran counts for calls with
	// any inputs.
	Bound       bool
	Fingerprint string
	Inputs      []byte
	Replace     bool // with Bound: replace other recorded inputs

	Stdout    io.Reader             // the output to record; nil for none
	MaxOutput int64                 // the number of bytes to record; negative: all
	Capture   func() ledger.Capture // see ledger.Mark

	Force bool // change a success too

	// Origin is that of a step or an item that is not recorded yet.
	Origin ledger.Origin

	// Expect is the record on which the user decided. If it is set and another call has
	// changed the record since, the error is ledger.ErrChanged.
	Expect *ledger.Record
}

// Check returns why the settlement may not change a record, or nil. It may change a
// success only with Force.
func (s Settlement) Check(rec ledger.Record) error {
	was := rec.Current.Fingerprint
	switch {
	case rec.Phase() == ledger.PhaseNone && s.State == ledger.None:
		return ErrNothing
	case rec.Current.State == ledger.Batch:
		return ErrBatch
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

// check is Check for a record that must be the expected one.
func (s Settlement) check(rec ledger.Record) error {
	if was := s.Expect; was != nil &&
		(was.Generation != rec.Generation || was.Current.RunID != rec.Current.RunID || was.Current.State != rec.Current.State) {
		return ledger.ErrChanged
	}
	return s.Check(rec)
}

// renews reports whether the settlement of a record begins a new operation: a success is
// to run again.
func (s Settlement) renews(rec ledger.Record) bool {
	return s.State == ledger.None && rec.Current.State == ledger.Succeeded
}

// Mark settles a key by hand and returns the previous record. The error is that of
// Check, a *ledger.BusyError while the key is held, or a fault of the ledger. After an
// error nothing has changed.
func Mark(ctx context.Context, l ledger.Ledger, id ledger.ID, s Settlement) (ledger.Record, error) {
	rec, err := l.Get(ctx, id)
	if err == nil {
		err = s.check(rec) // before the claim, which would create a ledger
	}
	if err != nil {
		return rec, err
	}
	claim, err := l.Claim(ctx, id)
	if o, ok := l.(ledger.Overriding); ok && (errors.As(err, new(*ledger.KeptError)) || errors.Is(err, ledger.ErrFailedOver)) {
		claim, err = o.ClaimSettling(ctx, id) // a person has looked
	}
	if err != nil {
		return rec, err
	}
	defer claim.Release()
	if rec, err = claim.Record(ctx); err == nil {
		err = s.check(rec)
	}
	if err != nil {
		return rec, err
	}
	m := ledger.Mark{
		Expect: rec, State: s.State, Reason: ledger.ReasonMarked, ExitCode: s.ExitCode,
		RunID: s.RunID, Note: s.Note, Owner: s.Owner,
		Fingerprint: rec.Current.Fingerprint, Inputs: rec.Current.Inputs,
		Stdout: s.Stdout, MaxOutput: s.MaxOutput, Capture: s.Capture,
		Origin: s.Origin, Renew: s.renews(rec),
	}
	if s.Bound {
		m.Fingerprint, m.Inputs = s.Fingerprint, s.Inputs
	}
	_, err = claim.Mark(ctx, m)
	return rec, err
}
