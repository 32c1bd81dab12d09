// Package bootid identifies the start of the system.
package bootid

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// bootFile has a random UUID that the kernel chooses at its start, see random(4). In
// most containers, it is the file of the host.
const bootFile = "/proc/sys/kernel/random/boot_id"

// Read returns the UUID of this start of the system. It reads the file without the
// runtime's poller, which a call without descriptors cannot start.
func Read() (string, error) {
	fail := func(op string, err error) (string, error) {
		return "", &fs.PathError{Op: op, Path: bootFile, Err: err}
	}
	fd, err := unix.Open(bootFile, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	b := make([]byte, 64) // a UUID has 36 bytes
	n, err := unix.Read(fd, b)
	if err != nil {
		return fail("read", err)
	}
	return strings.TrimSuffix(string(b[:n]), "\n"), nil
}
