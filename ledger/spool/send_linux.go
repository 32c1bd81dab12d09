package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// sendFile copies n bytes of src from off on to dst inside the kernel, which
// for a pipe is several times as fast as reading and writing them.
func sendFile(dst, src *os.File, off, n int64) error {
	out, in := int(dst.Fd()), int(src.Fd())
	for n > 0 {
		sent, err := unix.Sendfile(out, in, &off, int(n))
		switch err {
		case unix.EINVAL, unix.ENOSYS, unix.EPERM: // opened for appending, or a sandbox
			return copyFile(dst, src, off, n)
		}
		if err == nil && sent == 0 {
			return errTorn
		}
		if err := retry(dst, err); err != nil {
			return err
		}
		n -= int64(max(sent, 0))
	}
	return nil
}

// bigPipe is the most that Linux gives without privileges.
const bigPipe = 1 << 20

// growPipe gives a pipe's reader more to take at once: with the 64 KiB that it
// has at first, two processes mostly wait for each other, and sending takes
// twice as long. It may be refused: each user has a limit, and what is no pipe
// has no size.
func growPipe(f *os.File) {
	fd := f.Fd()
	if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && size < bigPipe {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, bigPipe)
	}
}
