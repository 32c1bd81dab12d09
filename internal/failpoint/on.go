//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// IDEM_FAILPOINT is NAME, or NAME:N for the Nth time that the point is reached. With
// IDEM_FAILPOINT_HOLD=PATH the program is not killed there. It creates the file
// PATH.reached and continues when a writer opens the named pipe PATH.
var (
	name, nth, _ = strings.Cut(os.Getenv("IDEM_FAILPOINT"), ":")
	hold         = os.Getenv("IDEM_FAILPOINT_HOLD")
	reached      atomic.Int64
	dying        atomic.Bool
)

// Here kills or holds the process if IDEM_FAILPOINT names this point.
func Here(point string) {
	if dying.Load() {
		select {} // other goroutines must not go on before the signal is delivered
	}
	if point != name {
		return
	}
	n, _ := strconv.ParseInt(nth, 10, 64)
	switch {
	case reached.Add(1) != max(n, 1):
	case hold != "":
		wait()
	default:
		dying.Store(true)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal is delivered
	}
}

func wait() {
	if err := os.WriteFile(hold+".reached", nil, 0o600); err != nil {
		panic(err)
	}
	for {
		fd, err := syscall.Open(hold, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		switch err {
		case nil:
			_ = syscall.Close(fd)
			return
		case syscall.EINTR:
		default:
			panic(err)
		}
	}
}
