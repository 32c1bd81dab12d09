package ledger

import (
	"context"
	"time"
)

// Lease is the claim of a holder in a ledger that several hosts share. Such a ledger
// cannot see the processes of another host. So a holder renews its claim, and a claim
// that is not renewed in time says nothing about the command: it may still run.
//
// Times are lengths, measured by the clock of the ledger. The clock of this host may
// differ from it.
type Lease struct {
	Host      string        // of the holder; for people to read
	PID       int           // of the holder; 0 if unknown
	Elsewhere bool          // the holder is not on this host, so no lock shows its processes
	Silent    time.Duration // since the last renewal
	Left      time.Duration // until the lease ends; not positive after its end
	// Keep reports whether the holder lets its command go on without the ledger, so
	// the end of the lease does not end the command.
	Keep bool
}

// A lease without a given length has DefaultLease. MaxLease is the longest one.
const (
	DefaultLease = 3 * time.Minute
	MaxLease     = 24 * time.Hour
)

// Expired reports whether the lease has ended without an outcome.
func (l *Lease) Expired() bool { return l.Left <= 0 }

// Kept reports whether the command of r may run on another host for as long as it likes. Its
// lease has ended, and its holder lets it go on without the ledger. Until the holder or a
// mark by hand ends this, no policy of a call may run the key again.
func (r Record) Kept() bool {
	return r.Phase() == PhaseInterrupted && r.Lease != nil && r.Lease.Keep && r.Lease.Elsewhere
}

// Overriding is implemented by a ledger with claims that only a person may take.
type Overriding interface {
	// ClaimSettling is Claim on behalf of a person who settles the key. It takes a claim for which
	// Claim returns a *KeptError: the person has seen that the silent holder and its command are
	// gone. It does so too for ErrFailedOver, because keys that the database has forgotten must be
	// settled before a call may start them again. The claim is for one Mark, which takes the key in
	// the same commit. A Mark that fails leaves the silent holder in its place.
	ClaimSettling(ctx context.Context, id ID) (Claim, error)
}

// UnsentError is the error of Finish when the ledger could not be reached or no longer
// accepts the outcome.
type UnsentError struct {
	// Path is the file of this host that has the outcome until it is sent; "" if it is
	// not kept.
	Path string
	Err  error
}

func (e *UnsentError) Error() string { return e.Err.Error() }
func (e *UnsentError) Unwrap() error { return e.Err }

// Belated is implemented by a ledger to which an outcome can come too late: another run or a mark
// has taken the key over.
type Belated interface {
	// Late returns the outcomes of id that came too late. They change nothing, and their
	// attempts are recorded as lost.
	Late(ctx context.Context, id ID) ([]Attempt, error)
}
