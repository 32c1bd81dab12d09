package cmd

import (
	"time"

	"idem/ledger"
)

// remindEvery is how often a call that waits says so again. CI systems end a job
// that has printed nothing for some minutes.
var remindEvery = time.Minute

// waiting tells what a call waits for: once and then, unless a person looks at the
// terminal, again and again.
type waiting struct {
	ui   *ui
	said bool
}

func (w *waiting) say(format string, args ...any) {
	if w.ui.quiet || w.said && isTerminal(w.ui.stderr) {
		return
	}
	w.said = true
	w.ui.line(w.ui.stderr, "", format, args...)
}

// busy tells of a key that another call holds.
func (w *waiting) busy(b *ledger.BusyError) {
	key, cur := quote(b.Record.ID.Key), b.Record.Current
	switch {
	case b.Leftover:
		w.say("waiting for key %s: processes of its attempt %d, started %s %s, are still alive%s", key, cur.Number, when(cur.Started), by(cur.Owner), processes(b.Holders))
	case cur.State == ledger.Running:
		w.say("waiting for key %s: its attempt %d is running since %s %s", key, cur.Number, when(cur.Started), by(cur.Owner))
	default:
		w.say("waiting for key %s: another call holds it", key)
	}
}

// unsettled tells of a key that no call may be at work on.
func (w *waiting) unsettled(rec ledger.Record) {
	switch rec.Phase() {
	case ledger.PhaseNone:
		w.say("waiting for key %s: it has not run yet", quote(rec.ID.Key))
	case ledger.PhaseRetry:
		w.say("waiting for key %s: it is to run again", quote(rec.ID.Key))
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
