//go:build !failpoint

package ledger

import "time"

// MinLease is the shortest lease that a call may ask for.
const MinLease = 30 * time.Second
