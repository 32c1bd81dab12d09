package batch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// stage is how far the end of a batch by signals has come.
type stage int

const (
	stageNone   stage = iota
	stageFinish       // nothing starts, and the running commands run to their end
	stageTerm         // the running commands got TERM
	stageKill         // the running commands got KILL
)

// Signal is a signal that idem got.
type Signal struct {
	Number syscall.Signal
	// Typed reports whether it came from a key of idem's terminal.
	Typed bool
}

// stages decides which effect each signal has. The zero value is that of a batch without a
// signal.
type stages struct {
	stage stage
	fatal syscall.Signal // the first signal; idem dies of it after the outcomes are recorded
}

// on returns the stage after a signal, and reports whether the signal ends the batch. A
// caller that ends by itself, a service manager for example, sends KILL soon. So only a
// typed INT lets the commands run on.
func (s *stages) on(sig Signal) (next stage, ends bool) {
	switch sig.Number {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP:
	default:
		return s.stage, false
	}
	if s.fatal == 0 {
		s.fatal = sig.Number
	}
	switch typed := sig.Number == unix.SIGINT && sig.Typed; {
	case !typed:
		s.stage = max(s.stage, stageTerm)
	case s.stage < stageKill:
		s.stage++
	}
	return s.stage, true
}
