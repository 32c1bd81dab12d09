package proc

import (
	"fmt"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

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
	from listener
	stop sync.Once

	mu      sync.Mutex
	runs    map[*child]bool // true: started
	pending []arrival       // blocked by the caller: pending until there is a command
	fatal   syscall.Signal
	ended   syscall.Signal
	meant   syscall.Signal
	done    chan struct{}
}

// SignalError tells that a fatal signal had come before the command was
// started. Nothing ran.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string {
	name := unix.SignalName(e.Signal)
	if name == "" { // a real-time signal
		name = fmt.Sprint("signal ", int(e.Signal))
	}
	return name + " came before the command was started"
}

// Catch begins to catch. Signals that this process was started to ignore
// (nohup, `cmd &`) are left alone, so that the command ignores them too. It is
// to be called before anything is recorded that a signal could leave half done.
//
// TSTP, TTIN, TTOU and CONT are not caught: their default actions stop and
// continue idem together with the command, which is what the shell expects.
func Catch() *Signals {
	OutlivePipe()
	s := &Signals{done: make(chan struct{}), runs: map[*child]bool{}}
	s.from = listener{want: ^rawsig.SetOf(int(unix.SIGCONT)), take: s.handle}
	listen(&s.from)
	return s
}

// Stop gives the default dispositions back. What has come before is seen.
func (s *Signals) Stop() {
	s.stop.Do(func() { unlisten(&s.from) })
}

// Fatal returns the first signal that came while no command was running and that
// ends a process by default: only idem can act on it.
func (s *Signals) Fatal() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatal, s.fatal != 0
}

// Ended returns the first signal that came at all and that ends a process by
// default.
func (s *Signals) Ended() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.ended != 0
}

// Meant returns the first INT, QUIT, TERM or HUP that came at all. Whoever runs
// several commands starts no other after it. Other signals say something to
// the command that runs.
func (s *Signals) Meant() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meant, s.meant != 0
}

// Done is closed when Fatal has something to tell.
func (s *Signals) Done() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

func (s *Signals) handle(a arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meant == 0 && slices.Contains(terminationSignals, a.sig) {
		s.meant = a.sig
	}
	if s.ended == 0 && ends(a.sig) {
		s.ended = a.sig
	}
	running := false
	for k, started := range s.runs {
		switch {
		case !started:
			k.early = append(k.early, a)
		case k.hasEnded(): // and its output is still to be read
			continue
		case k.group || k.tty != nil:
			k.kill(a.sig)
		case shouldForward(a.sig, k.proc.pid):
			k.signal(a)
		}
		running = true
	}
	if !running {
		s.pend(a)
	}
}

// pend keeps a signal that no command can be given.
func (s *Signals) pend(a arrival) {
	switch {
	case rawsig.Blocked().Has(int(a.sig)):
		s.pending = append(s.pending, a)
	case ends(a.sig) && s.fatal == 0:
		s.fatal = a.sig
		close(s.done)
	}
}

// terminationSignals are the signals that are meant to end a program.
var terminationSignals = []syscall.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP}

// ends reports whether a signal ends a process by default.
func ends(sig syscall.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH:
		return false
	}
	return true
}

// shouldForward tells whether it is ours to pass the signal on to pid.
func shouldForward(sig syscall.Signal, pid int) bool {
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
	for _, a := range append(s.pending, k.early...) {
		k.signal(a)
	}
	s.pending, k.early = nil, nil
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
	for _, a := range k.early {
		s.pend(a)
	}
}
