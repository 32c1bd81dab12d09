package fdio

import "golang.org/x/sys/unix"

// GrowPipe enlarges a pipe to BigPipe bytes, unless it is that large already. The
// kernel may refuse, because each user has a limit. A descriptor that is not a pipe
// is left alone.
func GrowPipe(fd int) {
	if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil && size < BigPipe {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, BigPipe)
	}
}

// poll is poll(2).
func poll(fds []unix.PollFd, ms int) (int, error) { return unix.Poll(fds, ms) }
