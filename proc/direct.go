package proc

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// Direct catches signals for a caller that runs many commands, each in a separate process
// group (Command.Apart). Direct calls decide for each INT, QUIT, TERM and HUP. It does nothing
// else about these signals. Its argument typed reports whether the signal came from a key of
// the terminal. decide is called for one signal at a time, and must not block.
//
// All other signals are passed on to the groups. After TSTP, idem itself stops too, as a
// shell expects, and continues together with the groups.
func Direct(decide func(sig syscall.Signal, typed bool)) *Signals {
	return catch(^rawsig.Set(0), decide)
}

// Close makes each further start of a command fail with a *SignalError. Fatal returns sig
// then, unless it had a signal before.
func (s *Signals) Close(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beFatal(sig)
}

// Send sends a signal to all running commands and their process groups. A command that
// is being started gets it as soon as it exists.
func (s *Signals) Send(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, started := range s.runs {
		switch {
		case !started:
			k.early = append(k.early, arrival{sig: sig})
		case !k.hasEnded():
			k.kill(sig)
			if sig == unix.SIGTERM {
				k.kill(unix.SIGCONT) // a stopped command does not handle TERM
			}
		}
	}
}

// directed handles a signal that Direct does not leave to handle, and reports whether it is
// one.
func (s *Signals) directed(a arrival) bool {
	switch a.sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP:
		s.mu.Lock()
		s.note(a.sig)
		s.mu.Unlock()
		s.decide(a.sig, a.typed)
	case unix.SIGTSTP:
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.suspended {
			s.suspended = true
			go s.suspend()
		}
	case unix.SIGCONT:
		s.mu.Lock()
		suspended := s.suspended
		s.mu.Unlock()
		if !suspended { // after a STOP
			s.Send(unix.SIGCONT)
			return true
		}
		select {
		case s.continued <- struct{}{}:
		default:
		}
	default:
		return false
	}
	return true
}

// suspend stops the commands and this process. It continues the commands when this process
// has been continued, or when the kernel has dropped the signal because there is no shell
// that could continue it.
func (s *Signals) suspend() {
	s.Send(unix.SIGTSTP)
	s.from.suspend()
	select {
	case <-s.continued:
	case <-time.After(continuedWithin):
	}
	s.from.resume()
	s.mu.Lock()
	s.suspended = false
	s.mu.Unlock()
	s.Send(unix.SIGCONT)
}

// suspend lets TSTP have its default action on this process once.
func (l *listener) suspend() {
	if l.stop == nil {
		signals.raise(unix.SIGTSTP)
		return
	}
	l.reset(unix.SIGTSTP)
	_ = unix.Kill(os.Getpid(), unix.SIGTSTP)
}

// resume catches TSTP again.
func (l *listener) resume() {
	if l.stop == nil {
		signals.again()
		return
	}
	l.again(unix.SIGTSTP)
}
