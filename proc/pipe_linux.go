package proc

import "golang.org/x/sys/unix"

// pipe makes a pipe whose ends are closed by exec.
func pipe() (r, w int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}

// growPipe lets the command write on while the pump is busy. It may be refused:
// each user has a limit.
func growPipe(fd, size int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size)
}

// buffered returns how many bytes are in the pipe. (TIOCINQ is FIONREAD.)
func buffered(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCINQ)
	return int(n), err
}
