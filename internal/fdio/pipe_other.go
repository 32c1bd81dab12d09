//go:build !linux

package fdio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// GrowPipe does nothing: these kernels size pipes themselves.
func GrowPipe(int) {}

// poll is poll(2) by select(2): that of macOS does not know terminals.
func poll(fds []unix.PollFd, ms int) (int, error) {
	n, err := choose(fds, ms)
	if errors.Is(err, unix.EINVAL) { // a number that select cannot take
		return unix.Poll(fds, ms)
	}
	return n, err
}
