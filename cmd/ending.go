package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	case errors.As(err, &stopped): // its cause may be an ending
		end := ending{code: 128 + int(stopped.Signal), signal: stopped.Signal}
		if stopped.Err != nil && !onlyCanceled(stopped.Err) {
			end.failure = endingOf(stopped.Err).failure
		}
		return end
	case errors.As(err, &e):
		return *e
	}
	return failureEnding(failureOf(err))
}

// onlyCanceled reports whether err says nothing but that a context was canceled.
func onlyCanceled(err error) bool {
	if joined, ok := any(err).(interface{ Unwrap() []error }); ok {
		causes := joined.Unwrap()
		return len(causes) > 0 && !slices.ContainsFunc(causes, func(cause error) bool { return !onlyCanceled(cause) })
	}
	if cause := errors.Unwrap(err); cause != nil {
		return onlyCanceled(cause)
	}
	return errors.Is(err, context.Canceled)
}

// failureEnding returns the ending of a call that failed.
func failureEnding(f *failure) ending { return ending{code: f.code, failure: f} }
