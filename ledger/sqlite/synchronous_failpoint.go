//go:build failpoint

package sqlite

import (
	"cmp"
	"os"
)

// synchronous can be weakened in a program that is built for fault tests. It shows that
// the tests for lost commits do find lost commits.
var synchronous = cmp.Or(os.Getenv("IDEM_FAILPOINT_SYNCHRONOUS"), "full")
