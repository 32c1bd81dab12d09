package signals

import (
	"golang.org/x/sys/unix"
)

// adopt makes orphans of this process's children its own, or lets go of that.
func adopt(on bool) error {
	n := 0
	if on {
		n = 1
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, uintptr(n), 0, 0, 0)
}
