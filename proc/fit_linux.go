package proc

import (
	"fmt"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Fit prepares this process for small limits, which Go's runtime meets by ending the
// process with its stacks: it keeps to one thread for Go code where the user's
// limit of processes is near, and returns an error where so little memory is left that
// a call may not come to its end. It is to be called first; without limits it
// costs three system calls.
func Fit() error {
	if userLimitNear() {
		runtime.GOMAXPROCS(1)
	}
	if err := fits(unix.RLIMIT_AS, "address space", "ulimit -v", moreSpace, unix.PROT_NONE); err != nil {
		return err
	}
	return fits(unix.RLIMIT_DATA, "data", "ulimit -d", moreData, unix.PROT_READ|unix.PROT_WRITE)
}

// What a call may come to need beyond what the runtime has reserved before main:
// the next 64 MiB of its heap, and SQLite's memory; of that, as much is written to.
const (
	moreSpace = 80 << 20
	moreData  = 24 << 20
)

// fits tries whether so many bytes can be had within a limit, and gives them back.
func fits(limit int, what, command string, bytes uintptr, prot uintptr) error {
	var l unix.Rlimit
	if unix.Getrlimit(limit, &l) != nil || l.Cur > math.MaxInt64 { // RLIM_INFINITY
		return nil
	}
	at, _, errno := unix.RawSyscall6(unix.SYS_MMAP, 0, bytes, prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0), 0)
	if errno != 0 {
		return fmt.Errorf("the limit of %d MiB of %s (%s) is too low: %w", l.Cur>>20, what, command, os.NewSyscallError("mmap", errno))
	}
	unix.RawSyscall(unix.SYS_MUNMAP, at, bytes, 0)
	return nil
}
