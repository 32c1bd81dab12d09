//go:build !linux

package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// poll is poll(2) by select(2): that of macOS does not know terminals.
func poll(fds []unix.PollFd, ms int) (int, error) {
	n, err := choose(fds, ms)
	if errors.Is(err, unix.EINVAL) { // a number that select does not know
		return unix.Poll(fds, ms)
	}
	return n, err
}
