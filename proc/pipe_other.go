//go:build !linux

package proc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// pipe makes a pipe whose ends are closed by exec. The lock prevents the start of a
// child between the two steps.
func pipe() (r, w int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return 0, 0, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds[0], fds[1], nil
}

// fionread is FIONREAD, the same number on macOS and the BSDs.
const fionread = 0x4004667f

// buffered returns how many bytes are in the pipe.
func buffered(fd int) (int, error) { return unix.IoctlGetInt(fd, fionread) }
