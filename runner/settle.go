package runner

import (
	"errors"

	"idem/ledger"
)

// Why a record is not settled by hand.
var (
	ErrNothing = errors.New("nothing is recorded under the key")
	ErrRunning = errors.New("the key is running")
	ErrSame    = errors.New("the key has succeeded already") // to mark it done would only hide its output
	ErrDone    = errors.New("the key has succeeded, so that this would run it again or hide what happened")
)

// CheckMark says whether a record may be marked as state (None: run it again)
// by hand. What has succeeded is only touched with force.
func CheckMark(rec ledger.Record, state ledger.State, force bool) error {
	switch rec.Phase() {
	case ledger.PhaseNone:
		return ErrNothing
	case ledger.PhaseRunning:
		return ErrRunning
	case ledger.PhaseSucceeded:
		switch {
		case force:
		case state == ledger.Succeeded:
			return ErrSame
		default:
			return ErrDone
		}
	}
	return nil
}
