//go:build failpoint

package sqlite

import (
	"cmp"
	"os"
)

// synchronous can be weakened in a program that is built to be hurt: what looks
// for lost commits must be seen to find some.
var synchronous = cmp.Or(os.Getenv("IDEM_FAILPOINT_SYNCHRONOUS"), "full")
