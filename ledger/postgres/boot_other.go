//go:build !linux

package postgres

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is a clock that also goes on while the system is asleep: CLOCK_MONOTONIC of macOS
// (clock_gettime(3)).
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}

// alarm waits. The zero alarm can be used.
type alarm struct{}

// rest waits for d.
func (a *alarm) rest(d time.Duration) { time.Sleep(d) }

func (a *alarm) close() {}
