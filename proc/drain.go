package proc

import (
	"os"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// Drain reads f to its end, or to an error, and drops what it reads. A terminal is not
// read, because its end may never come.
func Drain(f *os.File) {
	fd := int(f.Fd())
	if _, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
		return
	}
	p := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			fdio.Await([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		case n <= 0 || err != nil:
			return
		}
	}
}
