package proc

import (
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DieOf ends this process by the signal sig, which has ended the command. A calling
// shell then sees the same status as without idem: for example, a loop stops at
// Ctrl-C. With group, the whole process group gets the signal, as from a key of the
// terminal.
//
// DieOf returns only if the signal did not end the process. Examples are the first
// process of a container, and a signal that ends no process. The caller should then
// exit with 128+n.
//
// DieOf uses system calls. Go would answer QUIT, ABRT and SEGV with a stack trace,
// and has no function that sets the default action.
func DieOf(sig syscall.Signal, group bool) {
	// The command has left a core file. One of idem would be useless. A program in
	// core_pattern ignores the limit, but not the second setting.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)

	runtime.LockOSThread() // the mask belongs to the thread
	defer runtime.UnlockOSThread()
	// On every architecture, zero bytes mean SIG_DFL, no flags and an empty mask.
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
