package cmd

import (
	"errors"
	"path/filepath"
	"time"

	"idem/ledger"
	"idem/runner"
)

// outcome prints warnings and notes about the result of a call. It returns the exit
// status of idem, or its failure if the status is idem's own.
func (a *app) outcome(o *runOptions, res runner.Result, call runner.Call) (int, *failure) {
	if res.NotRetried != nil {
		a.ui.warn("attempt %d was the last: the next could not be started", res.Record.Attempts)
		a.ui.warnDetail("%v", res.NotRetried)
	}
	a.reportLosses(res)
	key, cur := quote(call.ID.Key), res.Record.Current
	switch {
	case res.Action == runner.ActionRefuse:
		return 0, refusal(res, call)
	case res.Unrecorded != nil:
		a.reportOutput(res, call, nil)
		if f := unsentFailure(res, call); f != nil {
			return 0, f
		}
		f := fail(exitUnrecorded, "the command of key %s %s", key, unrecordedText(res)).detail("%v", res.Unrecorded)
		if fault := (*ledger.Fault)(nil); errors.As(res.Unrecorded, &fault) && fault.Kind == ledger.FaultReplaced && filepath.Base(fault.Path) == "ledger.db" {
			return 0, f.hint("if the ledger was moved, the outcome is recorded in it: find it with idem show and its --ledger DIR")
		}
		if errors.Is(res.Unrecorded, ledger.ErrCorrupt) {
			f.detail("the ledger may or may not have the outcome")
			return 0, f
		}
		return 0, f.hintFor(call.ID, "to see the state of the key", "show").hintSettle(call.ID)
	case res.LeaseLost:
		a.reportOutput(res, call, nil)
		return 0, leaseFailure(res, call)
	case res.Action == runner.ActionReplay:
		lost := undeliveredFailure(res, call)
		a.reportOutput(res, call, lost)
		if now := a.now(); call.Policy.TTL > 0 && cur.Started.After(now) {
			a.ui.warn("key %s does not expire yet: the clock was set back", key)
			a.ui.warnDetail("it ran at %s, and the clock says %s", stamp(cur.Started), stamp(now))
		}
		if res.Reason == runner.ReasonUnverified {
			a.ui.warn("replayed key %s, although its effect could not be verified", key)
			a.ui.warnDetail("the verification %s", probeText(*res.Verified))
		}
		a.warnRepeated(res, call)
		if a.ui.notes() {
			a.ui.note("%s", replayedText(res))
		}
		return o.endStatus(res), lost
	default:
		if len(res.Holders) > 0 {
			a.ui.warn("key %s stays busy: processes of the command are still alive: %s", key, processes(res.Holders))
		}
		lost := undeliveredFailure(res, call)
		a.reportOutput(res, call, lost)
		if over := res.Overruled; over != nil {
			failed := ledger.Attempt{State: over.State, Reason: over.Reason, ExitCode: over.ExitCode, Signal: over.Signal}
			a.ui.warn("key %s has succeeded, although the command %s", key, outcomeText(failed))
			a.ui.warnDetail("its own transaction recorded the success before; the next call replays it, with status 0")
		}
		if res.Reason == runner.ReasonUnverified && res.Verified != nil {
			a.ui.note("key %s ran again, because the verification %s", key, probeText(*res.Verified))
		}
		if a.ui.verbose {
			a.ui.note("ran key %s: attempt %d %s in %s", key, cur.Number, outcomeText(cur), cur.Ended.Sub(cur.Started).Round(time.Millisecond))
		}
		return o.endStatus(res), lost
	}
}
