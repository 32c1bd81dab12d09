package proc

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

// poll is poll(2).
func poll(fds []unix.PollFd, ms int) (int, error) { return unix.Poll(fds, ms) }
