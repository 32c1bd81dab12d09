package signals

import (
	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of orphaned descendants. With false it stops doing
// that.
func adopt(on bool) error {
	n := 0
	if on {
		n = 1
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, uintptr(n), 0, 0, 0)
}
