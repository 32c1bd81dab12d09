//go:build !linux

package proc

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// DieOf ends this process by the signal sig, which has ended the command. A calling
// shell then sees the same status as without idem: for example, a loop stops at
// Ctrl-C. With group, the whole process group gets the signal, as from a key of the
// terminal.
//
// DieOf returns only if the signal did not end the process. The caller should then
// exit with 128+n.
//
// Go has no function that sets the default action of a signal: it answers QUIT, ABRT
// and SEGV with a stack trace. But exec resets all handlers. So DieOf replaces this
// process by a shell that kills itself.
func DieOf(sig syscall.Signal, group bool) {
	signal.Reset(sig)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	shell, pid := "$$", os.Getpid()
	if group {
		shell, pid = "0", 0
	}
	_ = syscall.Exec("/bin/sh", []string{"sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d %s; exit %d", sig, shell, 128+int(sig))}, os.Environ())
	if syscall.Kill(pid, sig) == nil {
		time.Sleep(100 * time.Millisecond)
	}
}
