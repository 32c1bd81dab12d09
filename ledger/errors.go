package ledger

import (
	"errors"
	"fmt"
)

// Errors about a key.
var (
	// ErrNotFound: nothing is recorded under the ID or run ID.
	ErrNotFound = errors.New("nothing is recorded")
	// ErrChanged: the record differs from the one that the caller expected.
	ErrChanged = errors.New("another call changed the record")
	// ErrHistory: the ledger does not replace the history that the record has.
	ErrHistory = errors.New("the ledger keeps the history of the key")
	// ErrLost: another run has taken the key over, so this run cannot finish the
	// attempt.
	ErrLost = errors.New("another run has taken the key over")
)

// Errors about the ledger itself. With each of them, no command was started and
// nothing was written. Packages runner and cmd turn them into exit status 69.
var (
	// ErrMissing: the directory has no ledger, and the call does not create one.
	ErrMissing = errors.New("there is no ledger")
	// ErrCorrupt: the stored data differs from the data that was written.
	ErrCorrupt = errors.New("the ledger is damaged")
	// ErrVersion: a newer idem wrote the ledger.
	ErrVersion = errors.New("the ledger was written by a newer idem")
	// ErrOldVersion: an older idem wrote the ledger in a format that cannot be
	// migrated.
	ErrOldVersion = errors.New("the ledger was written by an older idem")
	// ErrForeign: the ledger's directory or a file in it is something else.
	ErrForeign = errors.New("not an idem ledger")
	// ErrUnsafe: the directory cannot keep the ledger's promises.
	ErrUnsafe = errors.New("the place is not safe for a ledger")
	// ErrFull: no space is left.
	ErrFull = errors.New("no space left for the ledger")
	// ErrDenied: this user may not use the ledger.
	ErrDenied = errors.New("no permission for the ledger")
	// ErrReadOnly: the ledger can be read but not written.
	ErrReadOnly = errors.New("the ledger is read-only")
	// ErrUnreachable: the server of the ledger does not answer, or refuses connections.
	ErrUnreachable = errors.New("cannot reach the ledger")
	// ErrTooLate: the claim was lost before the command could be started.
	ErrTooLate = fmt.Errorf("%w: the lease ended before the command could be started", ErrUnreachable)
	// ErrFailedOver: the server was promoted or restored since a person confirmed its
	// content, so it may have forgotten successes.
	ErrFailedOver = errors.New("the database was promoted or restored")
)

// BusyError is the error of a key that is held. The holder is in the current
// attempt, which is recorded only at Begin and not yet at Claim.
type BusyError struct {
	ID     ID
	Record Record
	// Leftover reports whether no call holds the claim, but processes of an
	// earlier attempt's command are alive.
	Leftover bool
	// Holders has the known ones of these processes. It is empty without Leftover.
	Holders []Process
}

func (e *BusyError) Error() string {
	if e.Leftover {
		return fmt.Sprintf("processes of an earlier run of key %q are alive", e.ID.Key)
	}
	return fmt.Sprintf("key %q is running", e.ID.Key)
}

// KeptError is the error of a key whose holder has not been heard of for longer than its lease,
// and lets its command go on without the ledger (Lease.Keep). Only the holder or a person can
// free such a key.
type KeptError struct {
	ID     ID
	Record Record
}

func (e *KeptError) Error() string {
	return fmt.Sprintf("the holder of key %q is silent, and its command may still run", e.ID.Key)
}
