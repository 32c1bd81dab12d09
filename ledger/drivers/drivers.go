// Package drivers opens a ledger with the driver for its place. It is the only package
// that imports all drivers.
//
// The driver of shared ledgers makes each start of a program a fifth slower. So only
// idem-postgres has it: the same program with the build tag postgres.
package drivers

import (
	"context"
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/sqlite"
)

// Options are the options of Open. Those after Look are about a shared ledger; a
// ledger in a directory ignores them.
type Options struct {
	// TrustPlace accepts directories above the ledger that other users can write to.
	// Such a user can replace the ledger by another one.
	TrustPlace bool
	// Look leaves a ledger in a directory as it is: one of an earlier version is not
	// migrated, and reads as an empty one.
	Look bool

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
	l, err := sqlite.Options{Trust: o.TrustPlace, Look: o.Look}.Open(place)
	if err != nil {
		return nil, err // not l, which would be a non-nil interface
	}
	return l, nil
}

// ConnectOptions are the options of Check, Confirm, Upgrade and Sync.
type ConnectOptions struct {
	LocalBase      string // see Options
	FromFlag       bool   // see Options
	TrustPlace     bool   // see Options
	ConnectTimeout time.Duration
}

// InitOptions are the options of Init.
type InitOptions struct {
	ConnectOptions
	Grant     []string // roles that may use the ledger
	GrantDone []string // roles that may only record their own success
	Failover  string   // "refuse", "accept" or "", which leaves it as it is
}

// CheckDir examines the ledger in a directory and changes nothing. See sqlite.Check for quick
// and for the error.
func CheckDir(ctx context.Context, dir string, trustPlace, quick bool) (ledger.Report, error) {
	return sqlite.Check(ctx, dir, sqlite.CheckOptions{Trust: trustPlace, Quick: quick})
}

// Found reports whether a directory seems to have a ledger. It opens no file, because the
// ledger may be that of another user.
func Found(dir string) bool { return sqlite.Found(dir) }

// RestoreOptions are the options of Restore.
type RestoreOptions = sqlite.RestoreOptions

// Restore puts a backup at the place of a ledger in a directory.
func Restore(ctx context.Context, dir, backup string, o RestoreOptions) (ledger.Restored, error) {
	return sqlite.Restore(ctx, dir, backup, o)
}

// Move moves the ledger in a directory to another directory.
func Move(ctx context.Context, dir, to string, trustPlace bool) (ledger.Copied, error) {
	return sqlite.Move(ctx, dir, to, sqlite.Options{Trust: trustPlace})
}

// ForgetMoved removes the mark that Move left in a directory, and returns where the ledger is.
func ForgetMoved(dir string, trustPlace bool) (string, error) {
	return sqlite.ForgetMoved(dir, sqlite.Options{Trust: trustPlace})
}
