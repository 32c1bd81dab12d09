package cmd

import (
	"errors"
	"fmt"
	"syscall"

	"idem/proc"
)

// ending is the end of a call of idem. A command returns it as its error, because
// cobra passes nothing else on. Main alone acts on it.
//
// A command that returns another error ends with the failure that failureOf makes of
// the error. A command that returns nil ends with status 0.
type ending struct {
	code    int            // exit status
	signal  syscall.Signal // the signal that idem dies of instead; 0: none
	group   bool           // the signal is also for idem's process group
	failure *failure       // printed first; nil: none
}

func (e *ending) Error() string {
	if e.failure != nil {
		return e.failure.Error()
	}
	return fmt.Sprintf("exit status %d", e.code)
}

// endingOf returns the ending of a command that returned err.
func endingOf(err error) ending {
	var e *ending
	var stopped *proc.SignalError
	switch {
	case err == nil:
		return ending{code: exitOK}
	case errors.As(err, &e):
		return *e
	case errors.As(err, &stopped):
		return ending{code: 128 + int(stopped.Signal), signal: stopped.Signal}
	}
	return failureEnding(failureOf(err))
}

// failureEnding returns the ending of a call that failed.
func failureEnding(f *failure) ending { return ending{code: f.code, failure: f} }
