package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"idem/batch"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// eachShow is what a batch shows while it runs: outputs, messages and progress.
type eachShow struct {
	app      *app
	screen   *batch.Screen
	printer  *batch.Printer
	progress *batch.Progress
}

// beginShow begins to show a batch. Until end, messages go through the screen.
func (a *app) beginShow(b *bulk, run *batch.Batch) *eachShow {
	o, u := b.flags, &a.ui
	errTerminal := isTerminal(u.stderr)
	s := &eachShow{app: a, screen: batch.NewScreen(batch.ScreenOptions{
		Stdout: u.streams().Stdout, Stderr: u.stderr, OutTerminal: isTerminal(u.streams().Stdout), ErrTerminal: errTerminal,
		Columns: func() int { return columns(int(u.stderr.Fd())) },
	})}
	opts := batch.PrinterOptions{FailedOnly: o.quietOK, Screen: s.screen, Ledger: b.home.ledger}
	if o.order.value == "done" && o.jobs.n > 1 { // with one, the orders are the same, and its output is live
		opts.Order = batch.OrderDone
	}
	if b.home.unprotected {
		opts.Ledger = nil
	}
	s.printer = batch.NewPrinter(opts)
	run.Printer, run.ReplayAll = s.printer, o.replayItems.value == "all"
	if o.tag {
		run.Tag = func(e batch.Entry) string { return a.ui.clean(escape(e.Key)) }
	}
	mode := batch.ProgressLines
	switch {
	case o.progress.value == "none", o.progress.value == "auto" && u.quiet:
		mode = batch.ProgressNone
	case o.progress.value == "bar", o.progress.value == "auto" && errTerminal && os.Getenv("TERM") != "dumb":
		mode = batch.ProgressBar
	}
	s.progress = batch.ShowProgress(batch.ProgressOptions{Mode: mode, Name: escape(b.batch.Key), Standing: run.Standing, Screen: s.screen})
	u.screen = s.screen
	return s
}

// columns returns the width of a terminal, 0 if idem is not in its foreground.
func columns(fd int) int {
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && group != unix.Getpgrp() {
		return 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil || width == 0 { // some terminals do not know it
		return 80
	}
	return width
}

// afterSignal is how long printing may take after a signal for idem.
const afterSignal = 2 * time.Second

// end returns when all output is printed. It waits for the readers, so signals must have
// their default effect.
func (s *eachShow) end(ctx context.Context, res batch.Result) batch.Report {
	s.progress.Stop()
	if res.Signal != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, afterSignal)
		defer cancel()
	}
	report := s.printer.Close(ctx)
	s.screen.Close()
	s.app.ui.screen = nil
	return report
}

// maxItemMessages is the number of items of one kind about which a message tells at once.
// Further ones are counted at the end.
const maxItemMessages = 20

// eachReport tells about the events of a batch.
type eachReport struct {
	app   *app
	bulk  *bulk
	run   *batch.Batch
	log   *eventLog
	start time.Time
	told  map[batch.Fate]int
	bad   int
	room  bool // said
	busy  bool // said
	cut   int  // items whose output was not recorded completely
	held  bool // the output of one of them may lack its end
	kept  bool // an outcome is kept on this host
}

func newEachReport(a *app, b *bulk, run *batch.Batch, log *eventLog) *eachReport {
	return &eachReport{app: a, bulk: b, run: run, log: log, start: time.Now(), told: map[batch.Fate]int{}}
}

func (r *eachReport) begin() { r.log.call(r) }

// tell reports an event.
func (r *eachReport) tell(ctx context.Context, n batch.Notice) {
	u := &r.app.ui
	r.log.notice(n)
	switch n.Kind {
	case batch.KindEnd:
		r.tellEnd(ctx, n)
	case batch.KindBad:
		if r.bulk.flags.skipBad && r.bad < maxItemMessages {
			u.say(errorMark, "%v", listFailure(r.bulk.flags, n.Err))
		}
		r.bad++
	case batch.KindWait:
		u.note("waiting for %s that other calls are running", plural(n.Count, "item"))
	case batch.KindRoom:
		if !r.room {
			u.warn("the system has no room for a further process: fewer items run at the same time")
			u.warnDetail("%v", n.Err)
			r.room = true
		}
	case batch.KindBusy:
		if !r.busy {
			u.warn("the command cannot be started yet: a process has its file open for writing")
			u.warnDetail("%v", n.Err)
			r.busy = true
		}
	case batch.KindSignal:
		if n.Finishing && n.Count > 0 {
			u.say(noteMark, "%s finishing; Ctrl-C again ends %s", are(n.Count), them(n.Count))
		}
	}
}

func are(n int) string {
	if n == 1 {
		return "1 item is"
	}
	return fmt.Sprintf("%d items are", n)
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// tellEnd reports an item that the batch is done with, unless all is well.
func (r *eachReport) tellEnd(ctx context.Context, n batch.Notice) {
	if r.bulk.flags.itemHooks && r.bulk.flags.hooksApply(n) {
		call := r.app.itemCall(r.bulk, n.Entry)
		event := eventOf(n.Result, call, nil)
		faults, _ := r.run.Runner.EndHooks(ctx, call, event, n.Result, nil)
		r.app.reportHookFaults(append(n.Result.HookFaults, faults...))
	} else {
		r.app.reportHookFaults(n.Result.HookFaults)
	}
	if cur := n.Result.Record.Current; n.Err == nil && (n.Fate == batch.Done || n.Fate == batch.Failed) && (cur.Truncated || cur.Incomplete) {
		if r.cut++; r.cut <= maxItemMessages {
			r.held = r.app.warnRecording("item "+quote(cut(n.Key)), cur) || r.held
		}
	}
	text := itemText(n)
	if text == "" {
		return
	}
	if r.told[n.Fate]++; r.told[n.Fate] > maxItemMessages {
		return
	}
	r.app.ui.say(errorMark, "item %s %s", quote(cut(n.Key)), text)
	if n.Hashed() {
		r.app.ui.say(detailMark, "its key is %s", quote(n.ID.Key))
	}
	if n.Fate == batch.Mismatch {
		call := r.app.itemCall(r.bulk, n.Entry)
		for _, line := range changes(n.Result.Record.Current, call) {
			r.app.ui.say(detailMark, "%s", line)
		}
	}
	if n.Result.Unrecorded != nil {
		r.app.ui.say(detailMark, "%v", n.Result.Unrecorded)
		if unsent := (*ledger.UnsentError)(nil); errors.As(n.Result.Unrecorded, &unsent) && unsent.Path != "" {
			r.kept = true
			r.app.ui.say(detailMark, "its outcome is kept on this host, and sent later")
		}
	}
	if len(n.Result.Holders) > 0 {
		r.app.ui.warnDetail("it stays busy: processes of the command are still alive: %s", processes(n.Result.Holders))
	}
}

// hooksApply reports whether the hooks of an item run at its end. As for a run, a hook is
// about a call, so one runs also for a replay or a refusal.
func (o *eachOptions) hooksApply(n batch.Notice) bool {
	return n.Fate != batch.NotReached && n.Fate != batch.LeftOut && n.Fate != batch.Duplicate
}

// itemText says what is wrong with an item, as the end of a sentence; "" if nothing is.
func itemText(n batch.Notice) string {
	cur := n.Result.Record.Current
	switch n.Fate {
	case batch.Failed:
		switch {
		case n.Err != nil && proc.TooLong(n.Err):
			return "is too long for a command line; give it to the command with --item-on-stdin"
		case cur.Number == 0:
			return fmt.Sprintf("failed: %v", n.Err)
		}
		return fmt.Sprintf("%s (attempt %d)", failedText(cur), cur.Number)
	case batch.Unrecorded:
		return unrecordedText(n.Result)
	case batch.Interrupted:
		return "was interrupted before, and may be done"
	case batch.Mismatch:
		return "was recorded with other fields"
	case batch.Conflict:
		return fmt.Sprintf("is in the list before line %d, with other fields", n.Line)
	case batch.Refused:
		return "is refused: " + refusalText(n)
	case batch.Busy:
		if n.Result.Reason == runner.ReasonMutex {
			return "needs a mutex that another call holds"
		}
		return "is running in another call"
	}
	return ""
}

// failedText describes a failed attempt, as the end of a sentence about its item.
func failedText(a ledger.Attempt) string {
	if a.Reason == ledger.ReasonExit {
		return fmt.Sprintf("failed with status %d", a.ExitCode)
	}
	return "failed: it " + outcomeText(a)
}

// refusalText returns the first line of the message of idem run about a refused item.
func refusalText(n batch.Notice) string {
	return refusal(n.Result, runner.Call{ID: n.ID}).Error()
}

// countsText lists the counts of a batch.
func countsText(res batch.Result) string {
	c := &res.Counts
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{
		{c[batch.Done], "done"},
		{c[batch.DoneBefore], "done before"},
		{c[batch.DoneElsewhere], "done by other calls"},
		{c[batch.Failed], "failed"},
		{c[batch.FailedBefore], "failed before"},
		{c[batch.Interrupted], "interrupted"},
		{c[batch.Mismatch], "with other fields"},
		{c[batch.Conflict], "twice with other fields"},
		{c[batch.Refused], "refused"},
		{c[batch.Busy], "busy"},
		{c[batch.Unrecorded], "not recorded"},
		{c[batch.Duplicate], "duplicate"},
		{c[batch.LeftOut], "left out"},
		{c[batch.NotReached], "not reached"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	if res.BadLines > 0 {
		parts = append(parts, plural(res.BadLines, "bad line"))
	}
	if len(parts) == 0 {
		return "no items"
	}
	text := strings.Join(parts, ", ")
	if !res.Complete && res.Stop != batch.NotStopped {
		text += ", the rest of the list not read"
	}
	return text
}
