package cmd

import (
	"context"
	"errors"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// made is a call that idem run has made, or could not make.
type made struct {
	call runner.Call
	res  runner.Result
	err  error // why no command was started; nil if res says it
	home home
}

// view returns a function that makes the view of the call. Most calls need no view.
func (m *made) view() func() metaView { return viewOf(m.res, m.call, m.err, m.home.unprotected) }

// givenID returns the ID of the record as far as the flags name it. It is for a call
// that was refused before its key was known: a derived key is "".
func (a *app) givenID(o *runOptions) ledger.ID {
	if o.step != nil {
		return a.givenStep(o.step)
	}
	id, _ := a.keyID(&o.keyFlags) // checkFlags has checked it
	id.Key = o.key
	id.Window, _ = o.window(a.now()) // "" if that is the error
	return id
}

// endHooks runs the hooks of the event at the end of a call. No hook runs for a call
// that a signal ended while it waited or replayed, because idem dies of it at once.
func (a *app) endHooks(ctx context.Context, p plan, m *made) {
	if len(p.flags.hooks.list) == 0 {
		return
	}
	h := m.home
	if m.err != nil && m.res.Record.ID == (ledger.ID{}) { // the record was not read, so the token is not known
		h = a.unprotectedHome(false)
	}
	m.call.Inside = insideOf(m.call.ID, h.place) // a call that could not be made has none
	faults, fatal := a.runnerAt(p, h).EndHooks(ctx, m.call, eventOf(m.res, m.call, m.err), m.res, m.err)
	a.reportHookFaults(faults)
	if m.res.Fatal == 0 {
		m.res.Fatal = fatal
	}
}

// eventOf returns the event at the end of a call.
func eventOf(res runner.Result, call runner.Call, err error) runner.Event {
	cur := res.Record.Current
	switch {
	case errors.As(err, new(*proc.SignalError)):
		return runner.EventAborted
	case err != nil:
		return eventOfRefusal(failureOf(err).code)
	case res.Action == runner.ActionRefuse:
		return eventOfRefusal(refusal(res, call).code)
	case res.Action == runner.ActionReplay:
		return runner.EventReplay
	case res.Unrecorded != nil:
		return runner.EventUnrecorded
	case cur.State == ledger.Succeeded:
		return runner.EventSuccess
	case cur.Reason == ledger.ReasonTimeout:
		return runner.EventTimeout
	default:
		return runner.EventFailure
	}
}

// eventOfRefusal returns the event of a call that started no command. It depends on the
// exit status only, so --exit-code and --hook divide the refusals alike.
func eventOfRefusal(code int) runner.Event {
	switch code {
	case exitMismatch:
		return runner.EventMismatch
	case exitLedger:
		return runner.EventLedger
	case exitBusy:
		return runner.EventBusy
	case exitInterrupted:
		return runner.EventInterrupted
	case proc.CannotRun, proc.NotFound:
		return runner.EventFailure
	default:
		return runner.EventRefused
	}
}
