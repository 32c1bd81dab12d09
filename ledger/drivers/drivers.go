// Package drivers opens a ledger with the driver for its place. It is the only package
// that imports all drivers.
//
// The driver of shared ledgers makes each start of a program a fifth slower. So only
// idem-postgres has it: the same program with the build tag postgres.
package drivers

import (
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/sqlite"
)

// Options are the options of Open. Those after TrustPlace are about a shared ledger; a
// ledger in a directory ignores them.
type Options struct {
	// TrustPlace accepts directories above the ledger that other users can write to.
	// Such a user can replace the ledger by another one.
	TrustPlace bool

	// LocalBase is the directory of this user for the locks of shared ledgers and for
	// what is not sent yet.
	LocalBase string
	// FromFlag says that the place is a word of the command line, which every user of
	// the host can read.
	FromFlag bool
	// Lease is how long a claim lasts without a renewal. 0 is that of the URL or else
	// the default.
	Lease time.Duration
	// Keep lets a command go on when its lease cannot be renewed. Otherwise the command
	// is ended, and KillAfter is the time from TERM to KILL.
	Keep           bool
	KillAfter      time.Duration
	ConnectTimeout time.Duration // 0: the default
	FinishTimeout  time.Duration // how long an outcome is offered to the server; 0: the default
	// Warn is called with a message while the ledger does not answer. It is called by
	// any goroutine.
	Warn func(text string)
}

// IsShared reports whether a place is the URL of a shared ledger, and not a directory.
func IsShared(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// PlaceError says that the URL of a shared ledger, or an option of Open, is wrong. Nothing
// was done. It has no secret of the URL.
type PlaceError struct {
	Text    string
	Details []string
	Hint    string // may be empty
}

func (e *PlaceError) Error() string { return e.Text }

// Open returns a handle on the ledger at place, the absolute path of a directory or a URL.
// It creates nothing. A ledger that does not exist in its directory reads as an empty one.
func Open(place string, o Options) (ledger.Store, error) {
	if IsShared(place) {
		return openShared(place, o)
	}
	l, err := sqlite.Options{Trust: o.TrustPlace}.Open(place)
	if err != nil {
		return nil, err // not l, which would be a non-nil interface
	}
	return l, nil
}
