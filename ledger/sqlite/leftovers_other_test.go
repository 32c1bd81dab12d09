//go:build !linux

package sqlite

import (
	"testing"

	"idem/ledger"
)

// leaving is the Leave of the harness: these kernels do not tell.
var leaving func(t testing.TB, env ...string) (ledger.Process, func())
