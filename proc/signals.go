package proc

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// caught are the signals that would end idem before it has recorded what
// happened, and WINCH, which a command behind a pipe has no other way to get.
// TSTP, TTIN, TTOU and CONT are missing on purpose: their default actions stop
// and continue idem together with the command, which is what the shell expects.
//
// PIPE is caught so that a reader that goes away does not end idem. It is not
// ignored, because the command would inherit that.
var caught = []syscall.Signal{
	unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGPIPE,
	// Timers and limits that the caller has set before it became idem, and
	// signals at which Go would print its stacks.
	unix.SIGALRM, unix.SIGVTALRM, unix.SIGPROF, unix.SIGXCPU,
	unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS,
}

// Signals catches the signals that must not end idem while it has an outcome to
// record, and passes them on to the commands that run.
//
// The command stays in our process group, so what the terminal sends reaches it
// without us: INT and QUIT are passed on only when the group is not the
// terminal's foreground group (they were sent to us alone), or when the command
// has left the group. Two Ctrl-C then count as two. The others are always passed
// on, so a TERM that was sent to the whole group arrives twice. Known gap: a
// `kill -INT` from outside, while in the foreground, is not passed on.
type Signals struct {
	ch   chan os.Signal
	quit chan struct{} // closed by Stop
	over chan struct{} // closed when the goroutine has ended
	stop sync.Once

	mu    sync.Mutex
	runs  map[*child]bool // true: started
	fatal syscall.Signal
	seen  syscall.Signal
	done  chan struct{}
}

// SignalError tells that a fatal signal had come before the command was
// started. Nothing ran.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string {
	return fmt.Sprintf("%s came before the command was started", unix.SignalName(e.Signal))
}

// Catch begins to catch. Signals that this process was started to ignore
// (nohup, `cmd &`) are left alone, so that the command ignores them too. It is
// to be called before anything is recorded that a signal could leave half done.
func Catch() *Signals {
	s := &Signals{
		ch:   make(chan os.Signal, 64),
		quit: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}),
		runs: map[*child]bool{},
	}
	for _, sig := range caught {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	go s.loop()
	return s
}

// Stop gives the default dispositions back. What has come before is seen.
func (s *Signals) Stop() {
	s.stop.Do(func() {
		signal.Stop(s.ch)
		close(s.quit)
	})
	<-s.over
}

// Fatal returns the first INT, QUIT, TERM or HUP that came while no command was
// running, so that nobody but idem can act on it.
func (s *Signals) Fatal() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatal, s.fatal != 0
}

// Seen returns the first fatal signal that came at all. Whoever runs several
// commands starts no other after it.
func (s *Signals) Seen() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen, s.seen != 0
}

// Done is closed when Fatal has something to tell.
func (s *Signals) Done() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

func (s *Signals) loop() {
	defer close(s.over)
	for {
		select {
		case sig := <-s.ch:
			s.handle(sig.(syscall.Signal))
			continue
		case <-s.quit:
		}
		for { // signal.Stop has returned: what came before it is in the channel
			select {
			case sig := <-s.ch:
				s.handle(sig.(syscall.Signal))
			default:
				return
			}
		}
	}
}

func (s *Signals) handle(sig syscall.Signal) {
	if sig == unix.SIGPIPE {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if isFatal(sig) && s.seen == 0 {
		s.seen = sig
	}
	if len(s.runs) == 0 {
		s.pend(sig)
	}
	for k, started := range s.runs {
		switch {
		case !started:
			k.early = append(k.early, sig)
		case k.group || k.tty != nil:
			k.kill(sig)
		case ours(sig, k.proc.pid):
			k.signal(sig)
		}
	}
}

// pend keeps a signal that no command can be given.
func (s *Signals) pend(sig syscall.Signal) {
	if isFatal(sig) && s.fatal == 0 {
		s.fatal = sig
		close(s.done)
	}
}

func isFatal(sig syscall.Signal) bool {
	return slices.Contains(caught[:4], sig)
}

// ours tells whether it is ours to pass the signal on to pid.
func ours(sig syscall.Signal, pid int) bool {
	if sig != unix.SIGINT && sig != unix.SIGQUIT {
		return true
	}
	group := unix.Getpgrp()
	if g, err := unix.Getpgid(pid); err == nil && g != group {
		return true
	}
	return !inForeground()
}

// inForeground tells whether our process group is the one that the terminal
// sends its signals to.
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	foreground, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// enter announces a command that is about to be started. From here to leave
// every signal is the command's.
func (s *Signals) enter(k *child) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal != 0 {
		return &SignalError{s.fatal}
	}
	s.runs[k] = false
	return nil
}

// started hands over what came during the start. The terminal's signals may
// have missed the command, which did not exist yet, so they are given to it in
// any case: so early it has no handler, and twice is once.
func (s *Signals) started(k *child) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sig := range k.early {
		k.signal(sig)
	}
	k.early = nil
	s.runs[k] = true
}

// leave ends what enter began. What came for a command that could not be
// started is left to idem.
func (s *Signals) leave(k *child) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, k)
	for _, sig := range k.early {
		s.pend(sig)
	}
}
