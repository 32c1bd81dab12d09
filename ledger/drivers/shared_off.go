//go:build !postgres

package drivers

import (
	"context"
	"errors"

	"idem/ledger"
)

// Shared reports whether this program can use shared ledgers.
const Shared = false

// errNoShared is not shown: a program without the driver does not call these functions.
var errNoShared = errors.New("this program has no shared ledger")

func openShared(string, Options) (ledger.Store, error) { return nil, errNoShared }

// Same reports whether two places are the same ledger.
func Same(a, b string) bool { return a == b }

// Init creates a shared ledger, or grants roles the use of an existing one.
func Init(context.Context, string, InitOptions) (ledger.Report, error) {
	return ledger.Report{}, errNoShared
}

// Check examines a shared ledger and changes nothing.
func Check(context.Context, string, ConnectOptions) (ledger.Report, error) {
	return ledger.Report{}, errNoShared
}

// Confirm accepts the present content of a shared ledger after a failover.
func Confirm(context.Context, string, ConnectOptions) (ledger.Report, error) {
	return ledger.Report{}, errNoShared
}

// Upgrade brings the tables of a shared ledger to the format of this program.
func Upgrade(context.Context, string, ConnectOptions) (ledger.Report, error) {
	return ledger.Report{}, errNoShared
}

// Sync sends the outcomes that are kept on this host. It returns how many were sent, and
// how many are left.
func Sync(context.Context, string, ConnectOptions) (sent, left int, err error) {
	return 0, 0, errNoShared
}
