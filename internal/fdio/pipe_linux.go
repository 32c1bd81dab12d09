package fdio

import "golang.org/x/sys/unix"

// GrowPipe makes a pipe hold BigPipe bytes, unless it holds more. It may be
// refused, since each user has a limit. A descriptor of no pipe stays as it is.
func GrowPipe(fd int) {
	if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil && size < BigPipe {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, BigPipe)
	}
}

// poll is poll(2).
func poll(fds []unix.PollFd, ms int) (int, error) { return unix.Poll(fds, ms) }
