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
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			return copyFile(dst, src, off, n) // opened for appending, for one
		}
		if err == nil && sent == 0 {
			return errTorn
		}
		if err := retry(out, "sendfile", err); err != nil {
			return err
		}
		n -= int64(max(sent, 0))
	}
	return nil
}
