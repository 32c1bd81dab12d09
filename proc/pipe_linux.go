package proc

import "golang.org/x/sys/unix"

// pipe makes a pipe whose ends are closed by exec.
func pipe() (r, w int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}

// buffered returns how many bytes are in the pipe. TIOCINQ is FIONREAD.
func buffered(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCINQ)
	return int(n), err
}
