package postgres

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is a clock that also goes on while the system is suspended (clock_gettime(2)). Go's
// monotonic clock does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // every supported kernel has it
	return time.Duration(t.Nano())
}

// alarm waits with a clock that also goes on while the system is suspended (timerfd_create(2)),
// so that a wait ends at once when the system wakes up. The zero alarm can be used.
type alarm struct {
	fd int
	f  *os.File
}

// rest waits for d.
func (a *alarm) rest(d time.Duration) {
	if a.f == nil {
		fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
		if err != nil {
			time.Sleep(d)
			return
		}
		a.fd, a.f = fd, os.NewFile(uintptr(fd), "alarm")
	}
	var expirations [8]byte
	err := unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}, nil)
	if err == nil {
		_, err = a.f.Read(expirations[:])
	}
	if err != nil {
		time.Sleep(d)
	}
}

// close ends the alarm. It can be used again.
func (a *alarm) close() {
	if a.f != nil {
		a.f.Close()
		a.f = nil
	}
}
