package cmd

import (
	"errors"

	"idem/proc"
)

// failRun reports why a call started no command and returns the ending of idem.
func (a *app) failRun(p plan, meta *meta, m made) ending {
	view := m.view()
	meta.write(view, &a.ui)
	f := failureOf(m.err)
	a.answer.about(view, f)
	var stopped *proc.SignalError
	if errors.As(m.err, &stopped) {
		a.ui.note("%v", m.err)
		return endingOf(m.err)
	}
	a.hintStart(f, p.argv, p.keep)
	a.reportGitHub(p.flags, view, exitOK, f, m.res)
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
