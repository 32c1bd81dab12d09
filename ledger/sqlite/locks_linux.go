package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// newLocks returns the locks of the ledger in dir.
func newLocks(dir string) lockSpace { return &ofdLocks{path: filepath.Join(dir, "locks")} }

// ofdLocks are open-file-description locks (fcntl_locking(2), Linux 3.15) on
// bytes of one file: byte 0 is the writers' queue, and each record has two at
// an offset from its name. The file has no content but the writers' witness, and
// nothing is made or removed per record. With 2^61 places, two of a billion records share one
// with a chance of 1 in 5; they would then only wait for each other.
type ofdLocks struct {
	path string

	mu    sync.Mutex
	probe *os.File // for held
}

const queueByte = 0

func (s *ofdLocks) create() error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func (s *ofdLocks) exists() (bool, error) { return isOurFile(s.path) }

func (s *ofdLocks) open(flag int) (*os.File, error) {
	f, err := openQuietly(s.path, flag|unix.O_NOFOLLOW)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: locks is gone", ledger.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	// A lock on a file that was removed excludes nobody who comes later.
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 1 {
		f.Close()
		return nil, fmt.Errorf("%w: locks was removed or linked elsewhere", ledger.ErrCorrupt)
	}
	return f, nil
}

// openQuietly is os.OpenFile without Go's poller, which is of no use for a file and
// ends the process where a sandbox or a limit refuses it: also a call that only
// looks opens the locks of a key that runs.
func openQuietly(path string, flag int) (*os.File, error) {
	for {
		fd, err := unix.Open(path, flag|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR:
		default:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (s *ofdLocks) shared() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe == nil {
		f, err := s.open(os.O_RDWR)
		if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
			f, err = s.open(os.O_RDONLY) // enough to ask
		}
		if err != nil {
			return nil, err
		}
		s.probe = f
	}
	return s.probe, nil
}

func offset(n lockName, k kind) int64 {
	return int64(binary.BigEndian.Uint64(n[:8])>>2)&^1 + 1<<12 + int64(k)
}

func (s *ofdLocks) take(n lockName, k kind) (*lock, error) {
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	at := offset(n, k)
	if err := ofd(f, unix.F_OFD_SETLK, unix.F_WRLCK, at); err != nil {
		f.Close()
		return nil, err
	}
	return &lock{file: f, unlock: func() error { return ofd(f, unix.F_OFD_SETLK, unix.F_UNLCK, at) }}, nil
}

func (s *ofdLocks) held(n lockName, k kind) (bool, error) {
	f, err := s.shared()
	if err != nil {
		return false, err
	}
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: offset(n, k), Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return false, os.NewSyscallError("fcntl", err)
	}
	return lk.Type != unix.F_UNLCK, nil
}

func (s *ofdLocks) queue() (*turn, error) {
	// A description of its own: a wait that was given up may still be granted,
	// and must not give back what a later wait holds.
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	t := &turn{f}
	if err = ofd(f, unix.F_OFD_SETLK, unix.F_WRLCK, queueByte); errors.Is(err, errHeld) {
		err = inTime(func() error { return ofd(f, unix.F_OFD_SETLKW, unix.F_WRLCK, queueByte) }, t.end)
	} else if err != nil {
		t.end()
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func ofd(f *os.File, cmd int, typ int16, at int64) error {
	for {
		lk := unix.Flock_t{Type: typ, Start: at, Len: 1}
		err := unix.FcntlFlock(f.Fd(), cmd, &lk)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			return errHeld
		default:
			return os.NewSyscallError("fcntl", err)
		}
	}
}
