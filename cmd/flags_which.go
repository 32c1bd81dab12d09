package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

// whichFlags are the flags that say which record of a key is meant, in the
// commands that are about recorded keys.
type whichFlags struct {
	calendar *calendarFlags
	window   windowValue
	latest   bool
	guess    bool // the command only looks
	command  *cobra.Command
}

// whichLong ends the help of a command with whichFlags, before one of the two
// sentences below.
const whichLong = `

A key with --per has a record in each window. --per selects the current window,
or that of --at. --window selects any window, and --window "" the record without
a window.
`

const (
	guessLong = `Without these flags, idem selects the record without a window. If there is none,
it selects the one with the latest attempt and prints a note with its window.`
	refuseLong = `Without these flags, idem selects the record without a window. A key that has
records only in windows is refused (status 64).`
)

// recordPer begins the text about --per of commands about recorded keys.
const recordPer = "use the record of the current `WINDOW`, or of the window of --at"

// newWhichFlags adds the flags to a command. One that is about calls has those
// of the calendar already.
func newWhichFlags(c *cobra.Command, calendar *calendarFlags, guess bool) *whichFlags {
	o := &whichFlags{calendar: calendar, guess: guess, command: c}
	f := c.Flags()
	if calendar == nil {
		cal := newCalendarFlags()
		o.calendar = &cal
		cal.flags(f, recordPer)
	}
	f.Var(&o.window, "window", "use the record of `WINDOW`, such as 2026-11-22 (empty: the record without a window)")
	f.BoolVar(&o.latest, "latest", false, "use the record with the latest attempt or mark, in any window")
	return o
}

// which reads the flags.
func (o *whichFlags) which(now time.Time) (runner.Which, error) {
	if err := o.fits(); err != nil {
		return runner.Which{}, err
	}
	per, err := o.calendar.window(now)
	switch {
	case err != nil:
		return runner.Which{}, err
	case per != "":
		return runner.Which{Exact: true, Window: per}, nil
	case o.window.set:
		return runner.Which{Exact: true, Window: o.window.text}, nil
	}
	return runner.Which{Latest: o.latest, Guess: o.guess}, nil
}

// openFor checks the flags and the keys of a command about recorded keys, and opens
// the ledger. The ids are those of the keys, without their windows.
func (a *app) openFor(o *whichFlags, keys ...string) (l ledger.Store, ids []ledger.ID, want runner.Which, err error) {
	if want, err = o.which(a.now()); err != nil {
		return nil, nil, want, err
	}
	for _, key := range keys {
		id, err := a.id(key, true) // it may be recorded with empty parts
		if err != nil {
			return nil, nil, want, err
		}
		ids = append(ids, id)
	}
	l, err = a.openLedger()
	return l, ids, want, err
}

// find returns the record of a key that the flags mean.
func (a *app) find(ctx context.Context, l ledger.Store, id ledger.ID, w runner.Which, o *whichFlags) (ledger.Record, error) {
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, w)
	if found.Guessed {
		a.ui.say(noteMark, "key %s has records only in windows; the latest attempt is in window %s", quote(id.Key), quote(found.ID.Window))
	}
	return found.Record, o.refused(err)
}

// refused makes an *AmbiguousError a failure of usage, and returns any other error
// as it is.
func (o *whichFlags) refused(err error) error {
	var ambiguous *runner.AmbiguousError
	if errors.As(err, &ambiguous) {
		return o.refusal(ambiguous)
	}
	return err
}

// refusal returns the failure of a key that has records only in windows. Its hints
// are commands where the call has one key and no flags; else they are flags to add.
func (o *whichFlags) refusal(e *runner.AmbiguousError) *failure {
	newest := e.Records[0].ID
	f := usage("key %s has records only in windows, and the call names none", quote(newest.Key)).
		detail("windows: %s", windowList(e))
	for _, way := range windowWays(newest) {
		if words, plain := o.words(); plain {
			f.hintFor(way.id, way.what, append(words, way.flags...)...)
		} else {
			f.hintFlags(way.what, way.text())
		}
	}
	return f
}

// words are those of the call before its key; plain reports that nothing but
// the key is in it.
func (o *whichFlags) words() (words []string, plain bool) {
	words, args := []string{o.command.Name()}, o.command.Flags().Args()
	if o.command.Name() == "mark" && len(args) > 0 {
		words, args = append(words, args[0]), args[1:]
	}
	plain = len(args) == 1
	o.command.Flags().Visit(func(f *pflag.Flag) {
		plain = plain && slices.Contains([]string{"ledger", "namespace", "trust-place"}, f.Name) // which a hint has anyway
	})
	return words, plain
}

// windowWay is a way to say which record of a key is meant.
type windowWay struct {
	what  string
	id    ledger.ID
	flags []string // besides those that name id
}

// windowWays are those for a key whose newest record is in a window.
func windowWays(newest ledger.ID) []windowWay {
	bare := newest
	bare.Window = ""
	return []windowWay{
		{"for the current window", bare, []string{"--per", string(hashkey.PerOf(newest.Window))}},
		{"for the window " + newest.Window, newest, nil},
		{"for the window with the latest attempt", bare, []string{"--latest"}},
	}
}

func (w windowWay) text() string {
	if w.id.Window != "" {
		return shellLine(flagWords("window", w.id.Window))
	}
	return shellLine(w.flags)
}

// windowList names some windows of a key, the latest first.
func windowList(e *runner.AmbiguousError) string {
	var windows []string
	for _, rec := range e.Records {
		windows = append(windows, escape(rec.ID.Window))
	}
	if e.More {
		windows = append(windows, "…")
	}
	return strings.Join(windows, ", ")
}

// windowValue is the value of --window. An empty one is set as well.
type windowValue struct {
	set  bool
	text string
}

func (w *windowValue) String() string { return w.text }
func (w *windowValue) Type() string   { return "WINDOW" }

func (w *windowValue) Set(s string) error {
	if s != "" {
		if err := hashkey.CheckWindow(s); err != nil {
			return err
		}
	}
	*w = windowValue{true, s}
	return nil
}

// nothingUnder is for a record that is not there. It names those that are there
// under the same key, in other namespaces and in other windows.
func nothingUnder(ctx context.Context, l ledger.Ledger, id ledger.ID) error {
	f := fail(exitError, "nothing is recorded under key %s%s in namespace %s", quote(id.Key), inWindow(id), quote(id.Namespace))
	var found []ledger.ID // of each namespace the latest
	for rec, err := range l.List(ctx, ledger.Filter{Key: id.Key}) {
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(other ledger.ID) bool { return other.Namespace == rec.ID.Namespace }) {
			found = append(found, rec.ID)
		}
	}
	for _, other := range found[:min(len(found), maxElsewhere)] {
		if other.Namespace == id.Namespace {
			f.hintFor(other, "the record"+inWindow(other), "show")
		} else {
			f.hintFor(other, "the record in namespace "+quote(other.Namespace), "show")
		}
	}
	return f
}

// maxElsewhere is how many records elsewhere a message names.
const maxElsewhere = 3

func inWindow(id ledger.ID) string {
	if id.Window == "" {
		return ""
	}
	return " in window " + quote(id.Window)
}
