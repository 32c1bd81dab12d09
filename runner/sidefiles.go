package runner

import (
	"context"
	"errors"
	"slices"

	"idem/ledger"
)

// The reasons of a call for a sidefile.Loss.
var (
	errUnwanted = errors.New("output is not stored")
	errSecret   = errors.New("it contains a value to be redacted")
)

// refuseAddition returns why an addition to a file is not recorded, or nil. An
// addition that contains a secret is left out whole, because appending it without the
// secret would be a different outcome.
func (c *call) refuseAddition(content []byte) error {
	switch {
	case c.Output.None:
		return errUnwanted
	case c.Redact.Finds(content):
		return errSecret
	}
	return nil
}

// additionsOf returns the recorded additions of the current attempt to files. With
// ReplayPolicy.Exact it fails if an addition was not recorded. The error is a
// *ReplayError.
func (c *call) additionsOf(ctx context.Context, rec ledger.Record) ([]ledger.File, error) {
	if rec.Current.Files == 0 {
		return nil, nil
	}
	files, err := c.Ledger.Files(ctx, rec.ID, rec.Current.RunID)
	if err != nil {
		return nil, &ReplayError{err}
	}
	if c.Replay.Exact && slices.ContainsFunc(files, func(f ledger.File) bool { return f.Lost }) {
		return nil, &ReplayError{&InexactError{Lacks{Files: true}}}
	}
	return files, nil
}
