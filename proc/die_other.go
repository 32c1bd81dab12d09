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

// DieOf ends the calling process by the signal, as the command died of it, so
// that a calling shell sees what it would have seen: a loop stops at Ctrl-C. It
// returns only if that was not possible; exit with 128+n then. With group, all
// of the process group is sent the signal, as by a key of the terminal.
//
// Go offers no way to the default action of a signal: it answers QUIT, ABRT and
// SEGV with a stack trace. exec resets all handlers, so a shell takes this
// process's place and kills itself.
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
