package cmd

import (
	"context"
	"errors"
	"time"

	"idem/ledger"
)

// remindEvery is the time between two notes of a waiting call. CI systems end a job
// that has printed nothing for some minutes.
var remindEvery = time.Minute

// waiting prints what a call waits for. On a terminal, it prints that once.
type waiting struct {
	ui      *ui
	printed bool
}

// say prints a note and reports whether it did. It prints none with -q, and only the
// first one on a terminal.
func (w *waiting) say(format string, args ...any) bool {
	if w.ui.quiet || w.printed && isTerminal(w.ui.stderr) {
		return false
	}
	w.printed = true
	w.ui.say(noteMark, format, args...)
	return true
}

// held prints the note for a key or a mutex that another call holds. See busy for runs.
func (w *waiting) held(by error, runs bool) {
	var key *ledger.BusyError
	var mutex *ledger.MutexError
	switch {
	case errors.As(by, &key):
		w.busy(key, runs)
	case errors.As(by, &mutex):
		w.mutex(mutex)
	}
}

// busy prints the note for a key that another call holds. runs reports whether the call
// will then run the key, whatever the result is.
func (w *waiting) busy(b *ledger.BusyError, runs bool) {
	key, cur := keyShown(b.Record), b.Record.Current
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
		aim := ""
		if runs {
			aim = " to run it again"
		}
		if w.say("waiting for key %s%s: attempt %d is running", key, aim, cur.Number) {
			w.ui.say(detailMark, "%s", startedText(cur))
		}
	default:
		w.say("waiting for key %s: another call holds it", key)
	}
}

// unsettled prints the note for a key that idem wait waits for.
func (w *waiting) unsettled(ctx context.Context, l ledger.Ledger, rec ledger.Record) {
	switch rec.Phase() {
	case ledger.PhaseNone:
		first := !w.printed
		if w.say("waiting for key %s: it has not run yet", keyShown(rec)) && first {
			w.ui.hints(similarHints(ctx, l, rec.ID))
		}
	case ledger.PhaseRetry:
		w.say("waiting for key %s: the next call will run it again", keyShown(rec))
	default:
		w.busy(&ledger.BusyError{ID: rec.ID, Record: rec}, false)
	}
}

// reminder paces notes: the first is due at once, each further one remindEvery later.
type reminder struct{ next time.Time }

// due reports whether a note is due. If it is, the next one is due after remindEvery.
func (r *reminder) due() bool {
	now := time.Now()
	if now.Before(r.next) {
		return false
	}
	r.next = now.Add(remindEvery)
	return true
}
