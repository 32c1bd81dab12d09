package postgres

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bootID identifies the boot of this kernel (random(4)).
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(b)
}

// sinceBoot is a clock that also goes on while the system is suspended (clock_gettime(2)). Go's
// monotonic clock does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // every supported kernel has it
	return time.Duration(t.Nano())
}
