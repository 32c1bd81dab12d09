package proc

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// notifiable are the signals that are caught by Go's means, where there are no
// others: the usual ones, those of timers and limits that the caller has set before
// it became idem, and those at which Go would print its stacks. Each costs the start
// of a command 40 µs.
var notifiable = []syscall.Signal{
	unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGCONT,
	unix.SIGALRM, unix.SIGVTALRM, unix.SIGXCPU,
	unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS,
}

// notify is listen by os/signal: on other systems than Linux, and where there is no
// descriptor left for a pipe.
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
	take := func(sig os.Signal) { l.take(arrival{sig: sig.(syscall.Signal)}) }
	go func() {
		defer close(over)
		for {
			select {
			case sig := <-came:
				take(sig)
				continue
			case <-quit:
			}
			for { // signal.Stop has returned: what came before it is in the channel
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

// OutlivePipe makes a reader that goes away an error of the write, for stdout and
// stderr too, where Go would end the process otherwise. PIPE is not ignored for
// that: what is started later would inherit it.
func OutlivePipe() { outlivePipe() }

var outlivePipe = sync.OnceFunc(func() {
	if rawsig.Supported {
		signal.Ignore(unix.SIGPIPE) // tells the runtime
		rawsig.KeepPipe()           // and the kernel otherwise
		return
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
})
