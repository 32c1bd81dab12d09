//go:build failpoint

package ledger

import "time"

// MinLease is the shortest lease that a call may ask for. Tests cannot wait for the one of
// a release.
const MinLease = time.Second
