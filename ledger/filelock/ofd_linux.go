package filelock

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/localdir"
)

// New returns the locks of the ledger in dir.
func New(dir *localdir.Dir) Space { return &ofdLocks{dir: dir} }

// ofdLocks are open-file-description locks (fcntl_locking(2), Linux 3.15) on bytes of
// one file. Byte 0 is the writers' queue. Each record has two bytes at an offset that
// is computed from its Name. The only content of the file is the writers' witness, and
// no file is created or removed for a record.
//
// There are 2^61 offsets. Among a billion records, two share an offset with a
// probability of 1 in 5. Such records would only wait for each other.
type ofdLocks struct{ dir *localdir.Dir }

const (
	lockFile  = "locks"
	queueByte = 0
)

func (s *ofdLocks) Create(first []byte) error {
	if len(first) > 0 {
		return s.dir.Fill(lockFile, first)
	}
	f, err := s.dir.Create(lockFile, os.O_RDWR|os.O_EXCL)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *ofdLocks) Remove() error { return s.dir.Remove(lockFile) }

func (s *ofdLocks) Busy() (bool, error) {
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: queueByte + 1, Len: 0} // all bytes that follow
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return false, os.NewSyscallError("fcntl", err)
	}
	return lk.Type != unix.F_UNLCK, nil
}

func (s *ofdLocks) Exists() (bool, error) {
	info, err := s.dir.Lookup(lockFile)
	return info != nil, err
}

func (s *ofdLocks) Gone() error { return s.dir.Damage(ledger.FaultNoLocks, "locks", "locks is gone") }

func (s *ofdLocks) open(flag int) (*os.File, error) {
	f, err := s.dir.Open(lockFile, flag, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, s.Gone()
	}
	if err != nil {
		return nil, err
	}
	// A lock on a file that was removed or replaced excludes no later process.
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	identity := localdir.Identity{Device: uint64(st.Dev), Inode: st.Ino}
	pin, pinned := s.dir.Pinned("locks")
	if err != nil || st.Nlink != 1 || pinned && pin != identity {
		f.Close()
		return nil, s.dir.Replaced("locks", nil)
	}
	if !pinned { // it is in the directory of the ledger.db that is open
		s.dir.Pin("locks", identity)
	}
	return f, nil
}

func offset(n Name, k Kind) int64 {
	return int64(binary.BigEndian.Uint64(n[:8])>>2)&^1 + 1<<12 + int64(k)
}

func (s *ofdLocks) Take(n Name, k Kind) (*Lock, error) {
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	at := offset(n, k)
	if err := ofd(f, unix.F_OFD_SETLK, unix.F_WRLCK, at); err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{
		File:   f,
		unlock: func() error { return ofd(f, unix.F_OFD_SETLK, unix.F_UNLCK, at) },
		other:  func(k Kind) (bool, error) { return held(f, n, k) },
	}, nil
}

func (s *ofdLocks) Held(n Name, k Kind) (bool, error) {
	f, err := s.open(os.O_RDWR)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		f, err = s.open(os.O_RDONLY) // enough for F_OFD_GETLK
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return held(f, n, k)
}

// held reports whether a file description other than that of f holds a lock.
func held(f *os.File, n Name, k Kind) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: offset(n, k), Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return false, os.NewSyscallError("fcntl", err)
	}
	return lk.Type != unix.F_UNLCK, nil
}

func (s *ofdLocks) Queue() (*Lock, error) {
	// Each wait needs a new file description. A wait that was given up may still get
	// the lock later. Its unlock must not end the lock of a later wait.
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	end := func() { f.Close() }
	if err = ofd(f, unix.F_OFD_SETLK, unix.F_WRLCK, queueByte); errors.Is(err, ErrHeld) {
		err = inTime(func() error { return ofd(f, unix.F_OFD_SETLKW, unix.F_WRLCK, queueByte) }, end)
	} else if err != nil {
		end()
	}
	if err != nil {
		return nil, err
	}
	return &Lock{File: f, unlock: func() error { return ofd(f, unix.F_OFD_SETLK, unix.F_UNLCK, queueByte) }}, nil
}

// Witness implements Space.
func (s *ofdLocks) Witness() (*os.File, error) { return s.open(os.O_RDONLY) }

func ofd(f *os.File, cmd int, typ int16, at int64) error {
	for {
		lk := unix.Flock_t{Type: typ, Start: at, Len: 1}
		err := unix.FcntlFlock(f.Fd(), cmd, &lk)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			return ErrHeld
		default:
			return os.NewSyscallError("fcntl", err)
		}
	}
}
