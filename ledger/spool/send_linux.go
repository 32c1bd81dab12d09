package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// sendFile copies n bytes of src from off on to dst inside the kernel, which
// for a pipe is several times as fast as reading and writing them.
func sendFile(dst, src *os.File, off, n int64) error {
	out, in := int(dst.Fd()), int(src.Fd())
	for n > 0 {
		sent, err := unix.Sendfile(out, in, &off, int(n))
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN): // the caller's stdout is non-blocking
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(out), Events: unix.POLLOUT}}, -1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("poll", err)
			}
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return copyFile(dst, src, off, n) // opened for appending, for one
		case err != nil:
			return os.NewSyscallError("sendfile", err)
		case sent == 0:
			return errTorn
		default:
			n -= int64(sent)
		}
	}
	return nil
}
