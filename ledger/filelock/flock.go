package filelock

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/localdir"
)

// flocks are flock(2) locks on one file per lock below locks.d. They are for systems
// without open-file-description locks. The files are never removed: after a removal,
// two processes could take the same lock on two files.
type flocks struct{ dir *localdir.Dir }

// NewFlocks returns the locks of the ledger in dir as files below locks.d. New calls
// it where the kernel has no open-file-description locks.
func NewFlocks(dir *localdir.Dir) Space { return &flocks{dir} }

const (
	lockDir     = "locks.d"
	writersFile = lockDir + "/writers"
)

// RemovedDir is the name that Remove leaves behind where the locks are a directory.
const RemovedDir = lockDir + ".old"

func (s *flocks) Create(first []byte) error {
	if len(first) == 0 {
		return s.dir.Mkdir(lockDir)
	}
	const unfinished = lockDir + ".new"
	if err := s.dir.Mkdir(unfinished); err != nil {
		return err
	}
	if err := s.dir.Fill(filepath.Join(unfinished, filepath.Base(writersFile)), first); err != nil {
		return err
	}
	return s.dir.Rename(unfinished, lockDir)
}

// Remove renames locks.d, because it is not empty.
func (s *flocks) Remove() error { return s.dir.Rename(lockDir, RemovedDir) }

func (s *flocks) Busy() (bool, error) {
	if err := s.same(); err != nil {
		return false, err
	}
	files, err := os.ReadDir(s.dir.File(lockDir))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		name := filepath.Join(lockDir, file.Name())
		if name == writersFile {
			continue
		}
		if held, err := s.heldFile(name); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

func (s *flocks) Gone() error { return s.dir.Damage(ledger.FaultNoLocks, lockDir, "locks.d is gone") }

// open opens a lock's file. It creates a missing one, with mode 0600 whatever the
// umask.
func (s *flocks) open(name string) (*os.File, error) {
	if err := s.same(); err != nil {
		return nil, err
	}
	f, err := s.dir.Create(name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, s.Gone()
	}
	return f, err
}

// same returns a fault if locks.d is missing or is not the one that was pinned.
func (s *flocks) same() error {
	pin, pinned := s.dir.Pinned(lockDir)
	now, err := s.dir.Stat(lockDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s.Gone()
	case err == nil && pinned && now != pin:
		return s.dir.Replaced(lockDir, nil)
	}
	return err
}

func (s *flocks) Exists() (bool, error) {
	info, err := os.Lstat(s.dir.File(lockDir))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%w: locks.d is not a directory", ledger.ErrForeign)
	}
	s.dir.Pin(lockDir, localdir.IdentityOf(info))
	return true, nil
}

func (s *flocks) name(n Name, k Kind) string {
	return filepath.Join(lockDir, hex.EncodeToString(n[:16])+[...]string{".claim", ".life"}[k])
}

func (s *flocks) Take(n Name, k Kind) (*Lock, error) {
	f, err := s.open(s.name(n, k))
	if err != nil {
		return nil, err
	}
	// With flock, the only way to ask is to take the lock: Held takes it for an
	// instant. So a lock that is held now may be free in the next attempt.
	for deadline := time.Now().Add(100 * time.Millisecond); ; time.Sleep(5 * time.Millisecond) {
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, ErrHeld) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{
		File:   f,
		unlock: func() error { return flock(f, unix.LOCK_UN) },
		other:  func(k Kind) (bool, error) { return s.Held(n, k) },
	}, nil
}

func (s *flocks) Held(n Name, k Kind) (bool, error) {
	if err := s.same(); err != nil {
		return false, err
	}
	return s.heldFile(s.name(n, k))
}

func (s *flocks) heldFile(name string) (bool, error) {
	f, err := s.dir.Open(name, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, ErrHeld) {
		return true, nil
	}
	return false, err
}

func (s *flocks) Queue() (*Lock, error) {
	f, err := s.open(writersFile)
	if err != nil {
		return nil, err
	}
	if err := inTime(func() error { return flock(f, unix.LOCK_EX) }, func() { f.Close() }); err != nil {
		return nil, err
	}
	return &Lock{File: f, unlock: func() error { return flock(f, unix.LOCK_UN) }}, nil
}

// Witness implements Space.
func (s *flocks) Witness() (*os.File, error) {
	if err := s.same(); err != nil {
		return nil, err
	}
	return s.dir.Open(writersFile, os.O_RDONLY, 0)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrHeld
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}

// Holders returns nil, because the kernel does not show which file descriptions share
// a flock(2) lock.
func (s *flocks) Holders(Name) []ledger.Process { return nil }

// Every returns nil, as Holders does.
func (s *flocks) Every(Name) []int { return nil }
