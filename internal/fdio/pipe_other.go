//go:build !linux

package fdio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// GrowPipe does nothing: these kernels size pipes themselves.
func GrowPipe(int) {}

// poll is poll(2), implemented with select(2): poll(2) of macOS does not support
// terminals.
func poll(fds []unix.PollFd, ms int) (int, error) {
	n, err := pollBySelect(fds, ms)
	if errors.Is(err, unix.EINVAL) { // a descriptor from FD_SETSIZE on
		return unix.Poll(fds, ms)
	}
	return n, err
}
