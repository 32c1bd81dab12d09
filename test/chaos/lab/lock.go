package lab

import (
	"time"

	"golang.org/x/sys/unix"
)

// FirstLockDescriptor is higher than the descriptors that idem passes on. The lock of
// idem must not be free before a lock of TakeLock, which would look like an overlap. Linux
// closes the files of a dying process from the highest descriptor down.
const FirstLockDescriptor = 300

// TakeLock takes a lock that is independent of idem, without waiting, and returns its
// descriptor. how is unix.LOCK_EX or unix.LOCK_SH. The error is unix.EWOULDBLOCK if the
// lock is held.
func TakeLock(path string, how int) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, FirstLockDescriptor)
	if err != nil {
		return -1, err
	}
	if err := unix.Flock(high, how|unix.LOCK_NB); err != nil {
		_ = unix.Close(high)
		return -1, err
	}
	return high, nil
}

// ShareLock lets child processes inherit a lock of TakeLock.
func ShareLock(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// LeftProcesses waits for the last processes of the test, at most ExitWithin. It kills
// and returns those that remain.
func (l *Lab) LeftProcesses() []Process {
	deadline := time.Now().Add(ExitWithin)
	rest := l.Scan()
	for len(rest) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		rest = l.Scan()
	}
	for _, p := range rest {
		_ = l.Kill(p, func() {})
	}
	return rest
}
