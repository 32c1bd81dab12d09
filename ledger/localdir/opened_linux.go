package localdir

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Opened reports whether a process has a file open. The kernel gives a lease for writing only on a file
// that no other process has open. It is given back at once.
func (d *Dir) Opened(name string) (bool, error) {
	f, err := d.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	return false, d.fault("setlease", name, err)
}
