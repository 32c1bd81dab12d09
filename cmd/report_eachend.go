package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"idem/batch"
	"idem/items"
	"idem/ledger"
	"idem/runner"
)

// exitSomeFailed is the exit status of idem each if items failed, as of xargs(1).
const exitSomeFailed = 123

// end reports the result of a batch and returns the ending of idem.
func (r *eachReport) end(ctx context.Context, res batch.Result, printed batch.Report, out *meta) ending {
	u := &r.app.ui
	for fate, n := range r.told {
		if n > maxItemMessages {
			u.say(detailMark, "and %d more %s", n-maxItemMessages, fateText(fate))
		}
	}
	if more := r.cut - maxItemMessages; more > 0 {
		u.warn("the outputs of %d more items were not recorded completely", more)
	}
	if r.held {
		u.hint(waitForChildren)
	}
	if r.bulk.list.reader.CRLF() {
		u.note("the lines end with CR LF, as on Windows; the CR was dropped")
	}
	if printed.Lacking > 0 {
		u.say(warningMark, "the output of %s was not printed completely", plural(printed.Lacking, "item"))
		if printed.Why != nil {
			u.warnDetail("%v", printed.Why)
		}
		if !r.bulk.home.unprotected {
			u.hint(hint{text: "to see the recorded output", about: &printed.FirstLacking, words: []string{"logs"}})
		}
	}
	end, f := r.ending(res, printed)
	view := r.summary(res, end)
	out.writeView(view, u)
	r.log.summary(view)
	r.callHooks(ctx, res, &end, view)
	if f == nil && res.Signal != 0 {
		u.say(errorMark, "batch %s was ended by a signal: %s", quote(r.bulk.batch.Key), countsText(res))
	}
	if f == nil && end.code == exitOK {
		u.note("batch %s: %s in %v", quote(r.bulk.batch.Key), countsText(res), time.Since(r.start).Round(time.Millisecond))
	}
	return end
}

// fateText describes items of a fate about which no further message told.
func fateText(f batch.Fate) string {
	return map[batch.Fate]string{
		batch.Failed: "failed", batch.Unrecorded: "not recorded", batch.Interrupted: "interrupted",
		batch.Mismatch: "with other fields",
		batch.Conflict: "twice with other fields", batch.Refused: "refused", batch.Busy: "busy",
	}[f]
}

// ending returns the ending of a batch, and its failure if it has one.
func (r *eachReport) ending(res batch.Result, printed batch.Report) (ending, *failure) {
	f := r.failure(res)
	if res.Verdict() == batch.VerdictSignal {
		return ending{code: 128 + int(res.Signal), signal: res.Signal}, nil
	}
	if f == nil && len(printed.Faults) > 0 {
		f = fail(exitOutput, "the output of batch %s could not be written", quote(r.bulk.batch.Key)).detail("%v", errors.Join(printed.Faults...))
		f.hintFor(r.bulk.batch, "its items are done; to see them", "list", "--under")
	}
	if f == nil && printed.Cut > 0 {
		f = fail(exitOutput, "batch %s: the items are done, and a part of their output is missing here", quote(r.bulk.batch.Key))
	}
	if f == nil {
		return ending{code: exitOK}, nil
	}
	return r.app.remapped(r.bulk.plan.flags, f), f
}

// failure returns the failure of a batch, nil if all items are done.
func (r *eachReport) failure(res batch.Result) *failure {
	id, c := r.bulk.batch, &res.Counts
	name := "batch " + quote(id.Key)
	var f *failure
	switch res.Verdict() {
	case batch.VerdictLedger:
		f = failureOf(res.Fault)
		return (&failure{code: exitLedger, err: f.err, details: f.details, more: f.more, hints: f.hints}).detail("%s: %s", name, countsText(res))
	case batch.VerdictUnrecorded:
		f = fail(exitUnrecorded, "%s: %s ran, and the outcome could not be recorded", name, plural(c[batch.Unrecorded], "item")).
			hintFor(id, "to see items whose end is not known", "list", "--interrupted", "--under")
		if r.kept {
			f.hintLedger("to send the outcomes that are kept on this host", "sync")
		}
	case batch.VerdictCommand:
		cause := failureOf(res.Command)
		f = &failure{code: cause.code, err: cause.err, details: cause.details, hints: cause.hints}
		f.detail("nothing more was started")
	case batch.VerdictInterrupted:
		f = fail(exitInterrupted, "%s: %s interrupted, and may be done", name, was(c[batch.Interrupted])).
			hintFor(id, "to see them", "list", "--interrupted", "--under").
			hintFor(id, "if all of them succeeded", "mark", "done", "--state", "interrupted", "--under").
			hintFor(id, "to run all of them again at the next call", "mark", "retry", "--state", "interrupted", "--under")
	case batch.VerdictMismatch:
		switch {
		case res.Input != nil:
			f = failureOf(listFailure(r.bulk.flags, res.Input))
			switch bad := (*items.BadLine)(nil); {
			case !errors.As(res.Input, &bad) || bad.Last:
			case bad.NULs:
				f.hintFlags("if a NUL byte ends each item, as in the output of find -print0", "-0")
			default:
				f.hint("to go on after such lines, add to the call: --skip-bad")
			}
		case c[batch.Mismatch] > 0:
			f = fail(exitMismatch, "%s: %s recorded with other fields", name, was(c[batch.Mismatch])).
				hintFlags("to run them again with the new fields", "--on-mismatch rerun")
		case c[batch.Conflict] > 0:
			f = fail(exitMismatch, "%s: %s in the list twice, with other fields", name, are(c[batch.Conflict])).
				detail("of lines with the same key, only the first one runs")
		default:
			f = fail(exitMismatch, "%s: %s", name, badLines(res.BadLines))
		}
	case batch.VerdictRefused:
		f = fail(exitFailed, "%s: %s refused", name, was(c[batch.Refused]))
	case batch.VerdictFailed:
		failed := c[batch.Failed] + c[batch.FailedBefore]
		f = fail(exitSomeFailed, "%s: %s failed", name, plural(failed, "item"))
		if !r.bulk.home.unprotected {
			f.hintFor(id, "to see them", "list", "--failed", "--under")
		}
	case batch.VerdictBusy:
		f = fail(exitBusy, "%s: %s busy", name, are(c[batch.Busy]))
	default:
		return nil
	}
	f.detail("%s", countsText(res))
	if text := stopText(res); text != "" {
		f.detail("%s", text)
	}
	return f
}

func was(n int) string {
	if n == 1 {
		return "1 item was"
	}
	return fmt.Sprintf("%d items were", n)
}

func badLines(n int) string {
	if n == 1 {
		return "1 line of the list is no item"
	}
	return fmt.Sprintf("%d lines of the list are no items", n)
}

// stopText says why a batch started nothing more.
func stopText(res batch.Result) string {
	switch res.Stop {
	case batch.ByFailures:
		return "nothing more was started after the last failure"
	case batch.ByLimit:
		return "nothing more was started after --limit"
	}
	return ""
}

// eachView is the JSON object of --meta-file, and of the event summary.
type eachView struct {
	Schema    int            `json:"schema"`
	Action    string         `json:"action"`
	Namespace string         `json:"namespace"`
	Key       string         `json:"key"`
	Window    string         `json:"window"`
	RunID     string         `json:"run_id"`
	Status    int            `json:"exit_code"`
	Reason    string         `json:"reason"`
	Stopped   string         `json:"stopped_by"`
	Items     int            `json:"items"`
	Complete  bool           `json:"list_read"`
	Counts    map[string]int `json:"counts"`
	BadLines  int            `json:"bad_lines"`
	Ran       int            `json:"ran"`
	Attempts  int            `json:"attempts"`
	TookMS    int64          `json:"took_ms"`
}

// fateNames are the names of the fates in JSON.
var fateNames = [...]string{
	batch.Done: "done", batch.DoneBefore: "done_before", batch.DoneElsewhere: "done_elsewhere", batch.Failed: "failed",
	batch.FailedBefore: "failed_before", batch.Refused: "refused", batch.Interrupted: "interrupted", batch.Mismatch: "mismatch",
	batch.Conflict: "conflict",
	batch.Busy:     "busy", batch.Duplicate: "duplicate", batch.LeftOut: "left_out", batch.NotReached: "not_reached",
	batch.Unrecorded: "unrecorded",
}

var verdictNames = [...]string{
	batch.VerdictLedger: "ledger", batch.VerdictUnrecorded: "unrecorded", batch.VerdictSignal: "signal",
	batch.VerdictCommand: "not_startable", batch.VerdictInterrupted: "interrupted", batch.VerdictMismatch: "mismatch",
	batch.VerdictRefused: "refused", batch.VerdictFailed: "failed", batch.VerdictBusy: "running", batch.VerdictDone: "done",
}

var stopNames = [...]string{
	batch.NotStopped: "", batch.ByFailures: "failures", batch.ByLimit: "limit", batch.ByCommand: "command",
	batch.ByInput: "list", batch.ByLedger: "ledger", batch.BySignal: "signal",
}

// summary returns the view of the whole call.
func (r *eachReport) summary(res batch.Result, end ending) eachView {
	id := r.bulk.batch
	v := eachView{
		Schema: metaSchema, Action: "each", Namespace: id.Namespace, Key: id.Key, Window: id.Window, RunID: r.bulk.runID,
		Status: end.code, Reason: verdictNames[res.Verdict()], Stopped: stopNames[res.Stop], Items: res.Read, Complete: res.Complete,
		Counts: map[string]int{}, BadLines: res.BadLines, Ran: res.Ran, Attempts: res.Attempts, TookMS: time.Since(r.start).Milliseconds(),
	}
	for fate, name := range fateNames {
		v.Counts[name] = res.Counts[fate]
	}
	return v
}

// callHooks runs the hooks of the whole call.
func (r *eachReport) callHooks(ctx context.Context, res batch.Result, end *ending, view eachView) {
	o := r.bulk.flags
	if o.itemHooks || len(o.hooks.list) == 0 {
		return
	}
	run := *r.run.Runner
	run.Hooks = runner.Hooks{Limit: hookLimit, KillAfter: hookKillAfter, Output: r.app.ui.stderr}
	for _, h := range o.hooks.list {
		run.Hooks.List = append(run.Hooks.List, h.Hook)
	}
	run.Hooks.Report = func(runner.Event, runner.Call, runner.Result, error) ([]string, []byte) {
		b, _ := marshal(view) // all fields can be marshalled
		return []string{fmt.Sprintf("IDEM_EXIT_CODE=%d", end.code), "IDEM_REASON=" + view.Reason}, b
	}
	id := r.bulk.batch
	rec := ledger.Record{ID: id}
	if !r.bulk.home.unprotected {
		if found, err := run.Ledger.Get(ctx, id); err == nil {
			rec = found
		}
	}
	call := runner.Call{ID: id, Inside: insideOf(id, r.bulk.home.place)}
	faults, fatal := run.EndHooks(ctx, call, eventOfVerdict(res), runner.Result{Record: rec}, nil)
	r.app.reportHookFaults(faults)
	if end.signal == 0 {
		end.signal = fatal
	}
}

// eventOfVerdict returns the event at the end of a batch.
func eventOfVerdict(res batch.Result) runner.Event {
	switch res.Verdict() {
	case batch.VerdictLedger:
		return runner.EventLedger
	case batch.VerdictUnrecorded:
		return runner.EventUnrecorded
	case batch.VerdictSignal:
		return runner.EventAborted
	case batch.VerdictInterrupted:
		return runner.EventInterrupted
	case batch.VerdictMismatch:
		return runner.EventMismatch
	case batch.VerdictRefused:
		return runner.EventRefused
	case batch.VerdictBusy:
		return runner.EventBusy
	case batch.VerdictDone:
		if res.Ran == 0 {
			return runner.EventReplay
		}
		return runner.EventSuccess
	}
	return runner.EventFailure
}
