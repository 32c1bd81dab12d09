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
// returns only if that was not possible; exit with 128+n then.
//
// Go offers no way to the default action of a signal: it answers QUIT, ABRT and
// SEGV with a stack trace. exec resets all handlers, so a shell takes this
// process's place and kills itself.
func DieOf(sig syscall.Signal) {
	signal.Reset(sig)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Exec("/bin/sh", []string{"sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$; exit %d", sig, 128+int(sig))}, os.Environ())
	if syscall.Kill(os.Getpid(), sig) == nil {
		time.Sleep(100 * time.Millisecond)
	}
}
