// Package drivers opens a ledger with the driver for its place. It is the only package
// that imports all drivers.
package drivers

import (
	"idem/ledger"
	"idem/ledger/sqlite"
)

// Options are the options of Open.
type Options struct {
	// TrustPlace accepts directories above the ledger that other users can write to.
	// Such a user can replace the ledger by another one.
	TrustPlace bool
}

// Open returns a handle on the ledger at place, the absolute path of a directory. It
// creates nothing. A ledger that does not exist reads as an empty one.
func Open(place string, o Options) (ledger.Store, error) {
	l, err := sqlite.Options{Trust: o.TrustPlace}.Open(place)
	if err != nil {
		return nil, err // not l, which would be a non-nil interface
	}
	return l, nil
}
