package cmd

import (
	"errors"

	"idem/ledger"
	"idem/proc"
)

// failRun reports why a call started no command and returns the ending of idem.
func (a *app) failRun(p plan, meta *meta, id ledger.ID, err error) ending {
	view := metaOfError(id, err)
	var stopped *proc.SignalError
	if errors.As(err, &stopped) {
		meta.write(view, &a.ui)
		a.ui.note("%v", err)
		a.answer.about(view, failureOf(err))
		return ending{code: 128 + int(stopped.Signal), signal: stopped.Signal}
	}
	f := failureOf(err)
	meta.write(view, &a.ui)
	a.hintStart(f, p.argv, p.keep)
	a.answer.about(view, f)
	a.reportGitHub(p.flags, view, exitOK, f, "")
	return a.remapped(p.flags, f)
}

// remapped returns the ending of a call that failed, with the exit status that
// --exit-code gives it. A failure that ends with status 0 is printed as a note:
// cron would send mail about an error.
func (a *app) remapped(o *runOptions, f *failure) ending {
	mapped := *f
	mapped.code = o.exitCodes.remap(f.code)
	if mapped.code == exitOK {
		a.ui.noteFailure(f)
		return ending{code: exitOK}
	}
	return failureEnding(&mapped)
}
