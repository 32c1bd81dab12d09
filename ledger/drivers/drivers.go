// Package drivers opens the ledgers that this program has. It alone names them all.
package drivers

import (
	"idem/ledger"
	"idem/ledger/sqlite"
)

// Options are how a ledger is opened.
type Options struct {
	// TrustPlace accepts directories above the ledger's that other users can write
	// to. Such a user can put another ledger in the place of this one.
	TrustPlace bool
}

// Open returns a handle on the ledger at place, the absolute path of a directory. It
// makes nothing: a ledger that does not exist reads as an empty one.
func Open(place string, o Options) (ledger.Store, error) {
	l, err := sqlite.Options{Trust: o.TrustPlace}.Open(place)
	if err != nil {
		return nil, err // not a nil *sqlite.Ledger
	}
	return l, nil
}
