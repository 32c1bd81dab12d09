package spool

import (
	"os"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// sendFile copies n bytes of src from off on to dst inside the kernel. For a pipe, this
// is several times as fast as reading and writing. The error is errTorn when src has
// fewer bytes.
func sendFile(dst, src *os.File, off, n int64) error {
	out, in := int(dst.Fd()), int(src.Fd())
	for n > 0 {
		sent, err := unix.Sendfile(out, in, &off, int(n))
		switch err {
		case unix.EINVAL, unix.ENOSYS, unix.EPERM: // dst is opened for appending, or a sandbox refuses
			return copyFile(dst, src, off, n)
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			fdio.Room(out)
			continue
		case nil:
		default:
			return fdio.WriteError(dst, err)
		}
		if sent == 0 {
			return errTorn
		}
		n -= int64(sent)
	}
	return nil
}
