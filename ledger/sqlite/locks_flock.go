package sqlite

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// flocks are flock(2) locks on one file per lock under locks.d, for systems
// without open-file-description locks. The files stay: removing one could give
// two processes the same lock.
type flocks struct{ dir string }

func newFlocks(dir string) *flocks { return &flocks{dir: filepath.Join(dir, "locks.d")} }

func (s *flocks) create() error {
	return errors.Join(os.Mkdir(s.dir, 0o700), os.Chmod(s.dir, 0o700))
}

// open opens a lock's file and makes it if need be, whatever the umask.
func (s *flocks) open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *flocks) exists() (bool, error) {
	info, err := os.Lstat(s.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%w: locks.d is not a directory", ledger.ErrForeign)
	}
	return true, nil
}

func (s *flocks) path(n lockName, k kind) string {
	return filepath.Join(s.dir, hex.EncodeToString(n[:16])+[...]string{".claim", ".life"}[k])
}

func (s *flocks) take(n lockName, k kind) (*lock, error) {
	f, err := s.open(s.path(n, k))
	if err != nil {
		return nil, err
	}
	// held takes the lock for an instant, the only way to ask with flock: who
	// meets that tries again.
	for deadline := time.Now().Add(100 * time.Millisecond); ; time.Sleep(5 * time.Millisecond) {
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, errHeld) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &lock{file: f, unlock: func() error { return flock(f, unix.LOCK_UN) }}, nil
}

func (s *flocks) held(n lockName, k kind) (bool, error) {
	f, err := os.OpenFile(s.path(n, k), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, errHeld) {
		return true, nil
	}
	return false, err
}

func (s *flocks) queue() (*turn, error) {
	f, err := s.open(filepath.Join(s.dir, "writers"))
	if err != nil {
		return nil, err
	}
	t := &turn{f}
	if err := inTime(func() error { return flock(f, unix.LOCK_EX) }, t.end); err != nil {
		return nil, err
	}
	return t, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errHeld
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}
