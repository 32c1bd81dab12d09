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
type flocks struct{ dir *directory }

func newFlocks(dir *directory) *flocks { return &flocks{dir} }

const lockDir = "locks.d"

func (s *flocks) create() error { return s.dir.mkdir(lockDir) }

func (s *flocks) gone() error { return s.dir.damage(ledger.FaultNoLocks, lockDir, "locks.d is gone") }

// open opens a lock's file and makes it if need be, whatever the umask.
func (s *flocks) open(name string) (*os.File, error) {
	if err := s.same(); err != nil {
		return nil, err
	}
	f, err := s.dir.create(name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, s.gone()
	}
	return f, err
}

// same makes sure that locks.d is the ledger's.
func (s *flocks) same() error {
	pin, pinned := s.dir.pinned(lockDir)
	now, err := s.dir.stat(lockDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s.gone()
	case err == nil && pinned && now != pin:
		return s.dir.replaced(lockDir, nil)
	}
	return err
}

func (s *flocks) exists() (bool, error) {
	info, err := os.Lstat(s.dir.file(lockDir))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%w: locks.d is not a directory", ledger.ErrForeign)
	}
	s.dir.pin(lockDir, identityOf(info))
	return true, nil
}

func (s *flocks) name(n lockName, k kind) string {
	return filepath.Join(lockDir, hex.EncodeToString(n[:16])+[...]string{".claim", ".life"}[k])
}

func (s *flocks) take(n lockName, k kind) (*lock, error) {
	f, err := s.open(s.name(n, k))
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
	if err := s.same(); err != nil {
		return false, err
	}
	f, err := s.dir.open(s.name(n, k), os.O_RDWR, 0)
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
	f, err := s.open(filepath.Join(lockDir, "writers"))
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
