package proc

import (
	"fmt"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Fit prepares this process for small limits. Under such limits, Go's runtime ends
// the process with a dump of its stacks. So if the user's limit of processes is near,
// Fit allows only one thread for Go code. If too little memory is left for a call,
// Fit returns an error.
//
// Fit must be called first. Without limits it costs three system calls.
func Fit() error {
	if userLimitNear(limitMargin) {
		runtime.GOMAXPROCS(1)
	}
	if err := fits(unix.RLIMIT_AS, "address space", "ulimit -v", moreSpace, unix.PROT_NONE); err != nil {
		return err
	}
	return fits(unix.RLIMIT_DATA, "data", "ulimit -d", moreData, unix.PROT_READ|unix.PROT_WRITE)
}

// A call may need this many bytes in addition to the memory that the runtime reserves
// before main. The space is for the next 64 MiB of the heap and for SQLite. The data is
// the part of this space that is written to.
const (
	moreSpace = 80 << 20
	moreData  = 24 << 20
)

// fits checks whether that many bytes can be allocated within a limit, and frees
// them.
func fits(limit int, what, command string, bytes uintptr, prot int) error {
	var l unix.Rlimit
	if unix.Getrlimit(limit, &l) != nil || l.Cur > math.MaxInt64 { // RLIM_INFINITY
		return nil
	}
	at, err := unix.MmapPtr(-1, 0, nil, bytes, prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("the limit of %d MiB of %s (%s) is too low: %w", l.Cur>>20, what, command, os.NewSyscallError("mmap", err))
	}
	return unix.MunmapPtr(at, bytes)
}
