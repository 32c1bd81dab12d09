//go:build postgres

package drivers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"idem/ledger"
	"idem/ledger/postgres"
	"idem/ledger/postgres/dsn"
)

// Shared reports whether this program can use shared ledgers.
const Shared = true

func openShared(place string, o Options) (ledger.Store, error) {
	if err := killsInTime(place, o); err != nil {
		return nil, err
	}
	l, err := postgres.Open(place, postgres.Options{
		Lease: o.Lease, KillAfter: o.KillAfter, Keep: o.Keep,
		ConnectTimeout: o.ConnectTimeout, FinishTimeout: o.FinishTimeout,
		LocalBase: o.LocalBase, FromFlag: o.FromFlag, TrustPlace: o.TrustPlace, Warn: o.Warn, Keeper: postgres.KeeperArgs,
	})
	if err != nil {
		return nil, placeError(err) // not l, which would be a non-nil interface
	}
	return l, nil
}

// killsInTime refuses a KillAfter of more than half of the lease that the URL sets, or of the
// default.
func killsInTime(place string, o Options) error {
	if o.Keep || o.Lease > 0 || o.KillAfter <= ledger.MinLease/2 {
		return nil
	}
	c, err := dsn.Parse(place, os.Getenv)
	if err != nil {
		return placeError(err)
	}
	lease := cmp.Or(c.Lease, ledger.DefaultLease)
	if o.KillAfter <= lease/2 {
		return nil
	}
	return &PlaceError{
		Text:    fmt.Sprintf("the time from TERM to KILL, %v, is more than half of the lease, %v", o.KillAfter, lease),
		Details: []string{"the command could outlive the lease"},
		Hint:    "leave out --kill-after, or ask for a longer --lease",
	}
}

// Same reports whether two places are the same ledger, reached in the same way.
func Same(a, b string) bool {
	if a == b || !IsShared(a) || !IsShared(b) {
		return a == b
	}
	one, err := dsn.Parse(a, os.Getenv)
	if err != nil {
		return false
	}
	two, err := dsn.Parse(b, os.Getenv)
	return err == nil && one.Canonical == two.Canonical
}

// placeError returns err, or the *PlaceError for an error of the URL.
func placeError(err error) error {
	var wrong *dsn.Error
	if errors.As(err, &wrong) {
		return &PlaceError{Text: wrong.Text, Details: wrong.Details, Hint: wrong.Hint}
	}
	return err
}

// Init creates a shared ledger, or grants roles the use of an existing one.
func Init(ctx context.Context, place string, o InitOptions) (ledger.Report, error) {
	r, err := postgres.Init(ctx, place, postgres.InitOptions{
		ConnectOptions: postgres.ConnectOptions(o.ConnectOptions), Grant: o.Grant, GrantDone: o.GrantDone, Failover: o.Failover,
	})
	return r, placeError(err)
}

// Check examines a shared ledger and changes nothing.
func Check(ctx context.Context, place string, o ConnectOptions) (ledger.Report, error) {
	r, err := postgres.Check(ctx, place, postgres.ConnectOptions(o))
	return r, placeError(err)
}

// Confirm accepts the present content of a shared ledger after a failover.
func Confirm(ctx context.Context, place string, o ConnectOptions) (ledger.Report, error) {
	r, err := postgres.Confirm(ctx, place, postgres.ConnectOptions(o))
	return r, placeError(err)
}

// Upgrade brings the tables of a shared ledger to the format of this program.
func Upgrade(ctx context.Context, place string, o ConnectOptions) (ledger.Report, error) {
	r, err := postgres.Upgrade(ctx, place, postgres.ConnectOptions(o))
	return r, placeError(err)
}

// Sync sends the outcomes that are kept on this host. It returns how many were sent, and
// how many are left.
func Sync(ctx context.Context, place string, o ConnectOptions) (sent, left int, err error) {
	sent, left, err = postgres.Sync(ctx, place, postgres.ConnectOptions(o))
	return sent, left, placeError(err)
}
