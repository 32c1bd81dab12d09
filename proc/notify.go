package proc

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// notifiable are the signals that notify catches with os/signal, where this package
// has no other way:
//
//   - the usual signals
//   - signals of timers and limits that the caller has set before it executed idem
//   - signals at which Go would print its stacks
//
// Each one adds 40 µs to the start of a command.
var notifiable = []syscall.Signal{
	unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP,
	unix.SIGALRM, unix.SIGVTALRM, unix.SIGXCPU,
	unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS,
}

// notify is listen, implemented with os/signal. It is used on systems other than
// Linux, and if there is no free descriptor for a pipe.
func (l *listener) notify() {
	came := make(chan os.Signal, 64)
	quit, over := make(chan struct{}), make(chan struct{})
	for _, sig := range notifiable {
		if l.want.Has(int(sig)) && !signal.Ignored(sig) {
			signal.Notify(came, sig)
		}
	}
	l.stop = sync.OnceFunc(func() {
		signal.Stop(came)
		close(quit)
		<-over
	})
	l.reset = func(sig syscall.Signal) { signal.Reset(sig) }
	l.again = func(sig syscall.Signal) { signal.Notify(came, sig) }
	take := func(sig os.Signal) {
		key := sig == unix.SIGINT || sig == unix.SIGQUIT
		l.take(arrival{sig: sig.(syscall.Signal), typed: key && inForeground()})
	}
	go func() {
		defer close(over)
		for {
			select {
			case sig := <-came:
				take(sig)
				continue
			case <-quit:
			}
			for { // signal.Stop has returned, so all earlier signals are in the channel
				select {
				case sig := <-came:
					take(sig)
				default:
					return
				}
			}
		}
	}()
}

// OutlivePipe makes a write fail with an error if its reader is gone. For stdout and
// stderr, Go would otherwise end the process. PIPE is not ignored for this, because
// processes that are started later would inherit that.
func OutlivePipe() { outlivePipe() }

var outlivePipe = sync.OnceFunc(func() {
	if rawsig.Supported {
		signal.Ignore(unix.SIGPIPE) // for the runtime
		rawsig.KeepPipe()           // undo it in the kernel
		return
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
})
