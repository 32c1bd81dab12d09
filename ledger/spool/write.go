package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writeAll writes p to a descriptor of the caller's, which somebody else may
// have made non-blocking: its flags are shared.
func writeAll(f *os.File, p []byte) error {
	fd := int(f.Fd())
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err := retry(f, err); err != nil {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}

// retry says whether a write to f that returned err is to be made again: it
// returns nil, after it has waited for room where there was none.
func retry(f *os.File, err error) error {
	switch {
	case err == nil, errors.Is(err, unix.EINTR):
		return nil
	case errors.Is(err, unix.EAGAIN):
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}, -1)
		if err == nil || errors.Is(err, unix.EINTR) {
			return nil
		}
		return os.NewSyscallError("poll", err)
	}
	return os.NewSyscallError("write "+f.Name(), err)
}
