//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// IDEM_FAILPOINT is NAME, or NAME:N for the Nth time that the point is reached.
var (
	name, nth, _ = strings.Cut(os.Getenv("IDEM_FAILPOINT"), ":")
	reached      atomic.Int64
)

// Here is one point.
func Here(point string) {
	if point != name {
		return
	}
	if n, _ := strconv.ParseInt(nth, 10, 64); reached.Add(1) == max(n, 1) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // no step further
	}
}
