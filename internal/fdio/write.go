package fdio

import (
	"os"

	"golang.org/x/sys/unix"
)

// Write writes the beginning of p to fd with one write(2) and returns the number of
// bytes written. If fd takes nothing now, Write calls room and tries again. If room
// returns false, Write returns 0 and no error. An error is that of write(2).
func Write(fd int, p []byte, room func(fd int) bool) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		switch {
		case err == nil && (n > 0 || len(p) == 0):
			return n, nil
		case err == unix.EINTR:
		case err == unix.EAGAIN, err == nil:
			if !room(fd) {
				return 0, nil
			}
		default:
			return 0, err
		}
	}
}

// WriteAll writes p to f. It does not use f.Write, which would end the process at
// EPIPE on descriptors 1 and 2.
func WriteAll(f *os.File, p []byte) error {
	for len(p) > 0 {
		n, err := Write(int(f.Fd()), p, Room)
		if err != nil {
			return WriteError(f, err)
		}
		p = p[n:]
	}
	return nil
}

// Room waits until fd is writable. It returns true.
func Room(fd int) bool {
	Await([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
	return true
}

// WriteError adds the name of f to an error of write(2).
func WriteError(f *os.File, err error) error { return os.NewSyscallError("write "+f.Name(), err) }
