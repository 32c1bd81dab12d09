package cmd

import (
	"time"

	"idem/ledger"
)

// remindEvery is how often a call that waits says so again. CI systems end a job
// that has printed nothing for some minutes.
var remindEvery = time.Minute

// waiting prints what a call waits for: once on a terminal, and again and again
// elsewhere.
type waiting struct {
	ui   *ui
	said bool
}

// say prints a note, unless it must not, and reports whether it did.
func (w *waiting) say(format string, args ...any) bool {
	if w.ui.quiet || w.said && isTerminal(w.ui.stderr) {
		return false
	}
	w.said = true
	w.ui.say(noteMark, format, args...)
	return true
}

// busy is for a key that another call holds.
func (w *waiting) busy(b *ledger.BusyError) {
	key, cur := quote(b.Record.ID.Key), b.Record.Current
	switch {
	case b.Leftover:
		list := processes(b.Holders)
		if list != "" {
			list = ": " + list
		}
		if w.say("waiting for key %s: processes of attempt %d are still alive%s", key, cur.Number, list) {
			w.ui.say(detailMark, "%s", startedText(cur))
		}
	case cur.State == ledger.Running:
		if w.say("waiting for key %s: attempt %d is running", key, cur.Number) {
			w.ui.say(detailMark, "%s", startedText(cur))
		}
	default:
		w.say("waiting for key %s: another call holds it", key)
	}
}

// unsettled is for a key that perhaps no call is working on.
func (w *waiting) unsettled(rec ledger.Record) {
	switch rec.Phase() {
	case ledger.PhaseNone:
		w.say("waiting for key %s: it has not run yet", quote(rec.ID.Key))
	case ledger.PhaseRetry:
		w.say("waiting for key %s: the next call will run it again", quote(rec.ID.Key))
	default:
		w.busy(&ledger.BusyError{ID: rec.ID, Record: rec})
	}
}

// reminder says when it is time to tell of something: at once and every
// remindEvery.
type reminder struct{ next time.Time }

func (r *reminder) due() bool {
	now := time.Now()
	if now.Before(r.next) {
		return false
	}
	r.next = now.Add(remindEvery)
	return true
}
