package ledger

import (
	"errors"
	"fmt"
)

// What a ledger can say about a key.
var (
	// ErrNotFound: nothing is recorded under the ID or run id.
	ErrNotFound = errors.New("nothing is recorded")
	// ErrChanged: the record is no longer as the caller expected.
	ErrChanged = errors.New("another call changed the record")
	// ErrLost: the attempt is no longer this run's to finish.
	ErrLost = errors.New("another run has taken the key over")
)

// What a ledger can say about itself. Every one of them means that nothing was
// started and nothing written; runner and cmd turn them into exit status 69.
var (
	// ErrMissing: there is no ledger at the place, and none was to be made.
	ErrMissing = errors.New("there is no ledger")
	// ErrCorrupt: what is stored is not what was written.
	ErrCorrupt = errors.New("the ledger is damaged")
	// ErrVersion: a newer idem wrote the ledger.
	ErrVersion = errors.New("the ledger was written by a newer idem")
	// ErrOldVersion: an older idem wrote the ledger, in a format that cannot be
	// brought up to date.
	ErrOldVersion = errors.New("the ledger was written by an older idem")
	// ErrForeign: there is something else at the ledger's place.
	ErrForeign = errors.New("not an idem ledger")
	// ErrUnsafe: the place cannot keep the ledger's promises.
	ErrUnsafe = errors.New("the place is not safe for a ledger")
	// ErrFull: no space is left.
	ErrFull = errors.New("no space left for the ledger")
	// ErrDenied: this user may not use the ledger.
	ErrDenied = errors.New("no permission for the ledger")
	// ErrReadOnly: the ledger can be read but not written.
	ErrReadOnly = errors.New("the ledger is read-only")
)

// BusyError says that a key is held. The current attempt names the holder as
// far as it is recorded: between a claim and its Begin it is not yet.
type BusyError struct {
	ID     ID
	Record Record
	// Leftover reports that no call holds the claim, but processes of an earlier
	// attempt's command are alive.
	Leftover bool
	// Holders are, with Leftover, those of these processes that are known.
	Holders []Process
}

func (e *BusyError) Error() string {
	if e.Leftover {
		return fmt.Sprintf("processes of an earlier run of key %q are alive", e.ID.Key)
	}
	return fmt.Sprintf("key %q is running", e.ID.Key)
}
