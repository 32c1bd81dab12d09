package proc

import (
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DieOf ends the calling process by the signal, as the command died of it, so
// that a calling shell sees what it would have seen: a loop stops at Ctrl-C. It
// returns only if that was not possible, e.g. as the first process of a
// container, or with a signal that ends nobody; exit with 128+n then. With group,
// all of the process group is sent the signal, as by a key of the terminal.
//
// The kernel is asked directly. Go would answer QUIT, ABRT and SEGV with a stack
// trace, and there is no way to ask it for the default action.
func DieOf(sig syscall.Signal, group bool) {
	// The core file of the command is of use, one of idem is not. A core_pattern
	// that is a program disregards the limit, hence the second call.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)

	runtime.LockOSThread() // the mask is the thread's
	defer runtime.UnlockOSThread()
	// All zero is SIG_DFL, no flags, an empty mask, on every architecture.
	var action [16]uint64
	const maskSize = 8
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, maskSize, 0, 0)
	var mask unix.Sigset_t
	bits := 8 * int(unsafe.Sizeof(mask.Val[0]))
	if n := int(sig) - 1; n >= 0 && n/bits < len(mask.Val) {
		mask.Val[n/bits] = 1 << (n % bits)
		_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &mask, nil)
	}
	pid := os.Getpid()
	if group {
		pid = 0
	}
	if unix.Kill(pid, sig) == nil {
		time.Sleep(100 * time.Millisecond)
	}
}
