package proc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// Signals catches the signals that must not end idem while it has an outcome to
// record, and passes them on to the running commands.
//
// The command stays in the process group of idem, so it gets the terminal's signals
// without idem. INT and QUIT are passed on only in two cases, so two Ctrl-C count as
// two:
//
//   - The group is not the terminal's foreground group. The signal was then sent to
//     idem alone.
//   - The command has left the group.
//
// All other signals are always passed on, so a TERM that was sent to the whole group
// arrives twice. Known gap: in the foreground, a `kill -INT` for idem alone is not
// passed on.
//
// With Direct, a caller decides about the signals that ask idem to end.
type Signals struct {
	from   listener
	stop   sync.Once
	decide func(sig syscall.Signal, typed bool) // nil without Direct

	search    sync.Once
	inherited [searched]bool // which descriptors are the caller's, see callers

	mu      sync.Mutex
	runs    map[*child]bool // true if started
	pending []arrival       // blocked by the caller; kept for the first command
	fatal   syscall.Signal
	ended   syscall.Signal
	meant   syscall.Signal
	done    chan struct{}

	patience    context.Context // ends with a key of the terminal that no command got
	endPatience context.CancelFunc

	suspended bool // by TSTP
	continued chan struct{}
}

// SignalError says that a fatal signal came before the command was started, or before the function
// of Tidily succeeded. No command ran.
type SignalError struct {
	Signal syscall.Signal
	Err    error // of the function of Tidily; else nil
}

func (e *SignalError) Error() string {
	name := unix.SignalName(e.Signal)
	if name == "" { // a real-time signal
		name = fmt.Sprint("signal ", int(e.Signal))
	}
	if e.Err != nil {
		return name + " came: " + e.Err.Error()
	}
	return name + " came before the command was started"
}

func (e *SignalError) Unwrap() error { return e.Err }

// Catch starts to catch signals. Signals that were ignored when this process was
// started (nohup, `cmd &`) stay ignored, so that the command ignores them too. Call
// Catch before recording anything that a signal could interrupt.
//
// TSTP, TTIN, TTOU and CONT are not caught. Their default actions stop and continue
// idem together with the command, as a shell expects.
func Catch() *Signals {
	return catch(^rawsig.SetOf(int(unix.SIGCONT), int(unix.SIGTSTP)), nil)
}

func catch(want rawsig.Set, decide func(syscall.Signal, bool)) *Signals {
	OutlivePipe()
	s := &Signals{done: make(chan struct{}), runs: map[*child]bool{}, decide: decide}
	s.patience, s.endPatience = context.WithCancel(context.Background())
	if decide != nil {
		s.continued = make(chan struct{}, 1)
	}
	s.from = listener{want: want, take: s.handle}
	listen(&s.from)
	return s
}

// Stop restores the default dispositions. All earlier signals have been handled when
// it returns.
func (s *Signals) Stop() {
	s.stop.Do(func() { unlisten(&s.from) })
}

// Fatal returns the first signal that ends a process by default and came while no
// command was running. Only idem can act on it.
func (s *Signals) Fatal() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatal, s.fatal != 0
}

// Ended returns the first signal that ends a process by default, even if it came
// while a command was running.
func (s *Signals) Ended() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.ended != 0
}

// Meant returns the first INT, QUIT, TERM or HUP, even if it came while a command was
// running. A caller that runs several commands should start no other command after
// it. Other signals are messages for the running command.
func (s *Signals) Meant() (syscall.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meant, s.meant != 0
}

// Done returns a channel that is closed when Fatal has a signal.
func (s *Signals) Done() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// WithPatience returns a copy of ctx that is also done when a user has typed Ctrl-C or Ctrl-\
// while no command was running. Other programs that send signals do not wait for idem.
func (s *Signals) WithPatience(ctx context.Context) (patience context.Context, stop func()) {
	if s == nil {
		return ctx, func() {}
	}
	patience, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.patience, cancel)
	return patience, func() { unhook(); cancel() }
}

// hurry ends WithPatience if a signal asks for it.
func (s *Signals) hurry(a arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, started := range s.runs {
		if !started || !k.hasEnded() { // it gets the signal when it starts
			return
		}
	}
	if a.typed && (a.sig == unix.SIGINT || a.sig == unix.SIGQUIT) {
		s.endPatience()
	}
}

func (s *Signals) handle(a arrival) {
	s.hurry(a)
	if s.decide != nil && s.directed(a) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(a.sig)
	running := false
	for k, started := range s.runs {
		switch {
		case !started:
			k.early = append(k.early, a)
		case k.hasEnded(): // its output may still be unread
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

// note keeps sig for Meant and Ended.
func (s *Signals) note(sig syscall.Signal) {
	if s.meant == 0 && slices.Contains(terminationSignals, sig) {
		s.meant = sig
	}
	if s.ended == 0 && ends(sig) {
		s.ended = sig
	}
}

// pend stores a signal that cannot be passed on to a command.
func (s *Signals) pend(a arrival) {
	switch {
	case rawsig.Blocked().Has(int(a.sig)):
		s.pending = append(s.pending, a)
	case ends(a.sig):
		s.beFatal(a.sig)
	}
}

func (s *Signals) beFatal(sig syscall.Signal) {
	if s.fatal == 0 {
		s.fatal = sig
		close(s.done)
	}
}

// terminationSignals are the signals that ask a program to end.
var terminationSignals = []syscall.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP}

// ends reports whether a signal ends a process by default.
func ends(sig syscall.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH:
		return false
	}
	return true
}

// shouldForward reports whether idem must pass sig on to pid; see Signals.
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

// inForeground reports whether the process group of idem is the one to which the
// terminal sends its signals.
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	foreground, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// enter registers a command that is about to be started. From now on until leave,
// every signal is for the command.
func (s *Signals) enter(k *child) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal != 0 {
		return &SignalError{Signal: s.fatal}
	}
	s.runs[k] = false
	return nil
}

// started passes on the signals that came during the start. The command may not have
// existed when the terminal sent its signals, so it gets these too. This early the
// command has no handler, so a second delivery changes nothing.
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

// leave ends enter. Signals for a command that could not be started are left to idem.
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
