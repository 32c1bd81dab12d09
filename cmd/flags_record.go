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

// recordFlags are the flags that select one of the records of a key, in the commands
// about recorded keys.
type recordFlags struct {
	calendar *calendarFlags
	window   windowValue
	latest   bool
	guess    bool // without flags, fall back to the latest record; for commands that only read
	command  *cobra.Command
}

// recordLong ends the help of a command with recordFlags, before one of the two
// sentences below.
const recordLong = `

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

// recordPer is the text about --per in commands about recorded keys.
const recordPer = "use the record of the current `WINDOW`, such as 15m, hour or day, or of the window of --at"

// newRecordFlags adds the flags to a command. calendar are the flags of the calendar,
// if the command has them already; else it is nil.
func newRecordFlags(c *cobra.Command, calendar *calendarFlags, guess bool) *recordFlags {
	o := &recordFlags{calendar: calendar, guess: guess, command: c}
	f := c.Flags()
	if calendar == nil {
		o.calendar = new(calendarFlags)
		o.calendar.addTo(f, recordPer)
	}
	f.Var(&o.window, "window", "use the record of `WINDOW`, such as 2026-11-22 (empty: the record without a window)")
	f.BoolVar(&o.latest, "latest", false, "use the record with the latest attempt or mark, in any window")
	return o
}

// selector returns the record that the flags select. now is the time for --per.
func (o *recordFlags) selector(now time.Time) (runner.Which, error) {
	if err := o.checkPairs(); err != nil {
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
// the ledger. The ids are the IDs of the keys, without their windows.
func (a *app) openFor(o *recordFlags, keys ...string) (l ledger.Store, ids []ledger.ID, want runner.Which, err error) {
	if want, err = o.selector(a.now()); err != nil {
		return nil, nil, want, err
	}
	for _, key := range keys {
		id, err := a.recordedID(key)
		if err != nil {
			return nil, nil, want, err
		}
		ids = append(ids, id)
	}
	l, err = a.openLedger()
	return l, ids, want, err
}

// find returns the record of a key that the flags select.
func (a *app) find(ctx context.Context, l ledger.Store, id ledger.ID, w runner.Which, o *recordFlags) (ledger.Record, error) {
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, w)
	if found.Guessed {
		a.ui.say(noteMark, "key %s has records only in windows; the latest attempt is in window %s", quote(id.Key), quote(found.ID.Window))
	}
	return found.Record, o.refused(err)
}

// refused returns a failure of usage for an *AmbiguousError, and any other error
// unchanged.
func (o *recordFlags) refused(err error) error {
	var ambiguous *runner.AmbiguousError
	if errors.As(err, &ambiguous) {
		return o.refusal(ambiguous)
	}
	return err
}

// refusal returns the failure of a key that has records only in windows. Its hints
// are commands if the call has one key and no flags; else they are flags to add.
func (o *recordFlags) refusal(e *runner.AmbiguousError) *failure {
	newest := e.Records[0].ID
	f := usage("key %s has records only in windows, and the call names none", quote(newest.Key)).
		detail("windows: %s", windowList(e))
	for _, option := range windowOptions(newest) {
		if words, plain := o.words(); plain {
			f.hintFor(option.id, option.what, append(words, option.flags...)...)
		} else {
			f.hintFlags(option.what, option.text())
		}
	}
	return f
}

// words returns the words of the call before its key. plain reports whether the call
// has exactly one key and only flags that a hint repeats anyway.
func (o *recordFlags) words() (words []string, plain bool) {
	words, args := []string{o.command.Name()}, o.command.Flags().Args()
	if o.command.Name() == "mark" && len(args) > 0 {
		words, args = append(words, args[0]), args[1:]
	}
	plain = len(args) == 1
	o.command.Flags().Visit(func(f *pflag.Flag) {
		plain = plain && slices.Contains([]string{"ledger", "connect-timeout", "namespace", "trust-place"}, f.Name) // a hint has these anyway
	})
	return words, plain
}

// windowOption is a way to select a record of a key.
type windowOption struct {
	what  string
	id    ledger.ID
	flags []string // besides the flags that name id
}

// windowOptions returns the ways to select a record of a key whose newest record is in
// a window.
func windowOptions(newest ledger.ID) []windowOption {
	unwindowed := newest
	unwindowed.Window = ""
	return []windowOption{
		{"for the current window", unwindowed, []string{"--per", string(hashkey.PerOf(newest.Window))}},
		{"for the window " + newest.Window, newest, nil},
		{"for the window with the latest attempt", unwindowed, []string{"--latest"}},
	}
}

func (w windowOption) text() string {
	if w.id.Window != "" {
		return shellLine(flagWords("window", w.id.Window))
	}
	return shellLine(w.flags)
}

// windowList lists the windows of e, the latest first, for a message.
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

// windowValue is the value of --window. The empty value also selects a record.
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

func inWindow(id ledger.ID) string {
	if id.Window == "" {
		return ""
	}
	return " in window " + quote(id.Window)
}
