package ledger

import "time"

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

// Expired reports whether the lease has ended without an outcome.
func (l *Lease) Expired() bool { return l.Left <= 0 }
