package cmd

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/runner"
)

// Two flags of one call must both have an effect: a caller who gives them expects
// something of each. Which flags of which command do not go together is in this
// file and nowhere else. A flag that has its default value asks for nothing and
// is never refused, so that a script may spell defaults out or compute a 0.
// pairs_test.go walks all pairs of flags of idem run.

// need is a flag that says more about other flags and does nothing without them.
type need struct {
	flag string
	of   []string // one of them must be on the command line, with any value
}

// needs are those that all commands share. --at, for one, is a flag of most.
var needs = []need{
	{"tz", []string{"per"}},
	{"at", []string{"per"}},
	{"day-start", []string{"per"}},
	{"max-stdin", []string{"hash-stdin"}},
	{"allow-empty-parts", []string{"key"}},
	{"on-mismatch", []string{"key"}}, // with other inputs, a derived key is another one
	{"probe-first", []string{"probe"}},
	{"probe-timeout", []string{"probe"}},
	{"retry-delay", []string{"retries"}},
	{"retry-max-delay", []string{"retries"}},
	{"retry-on", []string{"retries"}},
	{"kill-after", []string{"timeout", "probe"}},
}

// clash is a pair of flags that do not go together if a call has both. A name that
// ends with * is followed by the flag's value in the message.
type clash[T any] struct {
	flag, other string
	why         string
	is          func(T) bool // the call has both
}

// fitting refuses the first of the flags of a call, options o, that does not fit
// the others. has reports whether a flag is on the command line.
func fitting[T any](f *pflag.FlagSet, has func(string) bool, needs []need, clashes []clash[T], o T) error {
	var err error
	f.Visit(func(fl *pflag.Flag) {
		for i := range needs {
			n := &needs[i]
			if n.flag == fl.Name && err == nil && fl.Value.String() != fl.DefValue && !slices.ContainsFunc(n.of, has) {
				err = lacking(n.flag, n.of...)
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range clashes {
		if c := &clashes[i]; c.is(o) {
			return clashing(inMessage(f, c.flag), inMessage(f, c.other), c.why)
		}
	}
	return nil
}

// inMessage is a flag of a clash as a message names it.
func inMessage(f *pflag.FlagSet, flag string) string {
	name, valued := strings.CutSuffix(flag, "*")
	if valued {
		return name + " " + f.Lookup(name).Value.String()
	}
	return name
}

// lacking is for a flag that needs one of others.
func lacking(flag string, of ...string) error {
	return usage("--%s requires --%s", flag, strings.Join(of, " or --"))
}

// clashing is for two flags that do not go together.
func clashing(flag, other, why string) error {
	return usage("--%s can't be combined with --%s", flag, other).detail("%s", why).hint("leave out one of them")
}

// fits refuses flags of a call that do not go together.
func (o *runOptions) fits() error {
	has := func(name string) bool {
		if name == "key" { // which idem check takes as its argument
			return o.key != ""
		}
		return o.given(name)
	}
	if err := fitting(o.flagSet, has, needs, runClashes, o); err != nil {
		return err
	}
	if err := fitting(o.flagSet, has, nil, windowClashes, &o.windowFlags); err != nil {
		return err
	}
	if err := fitting(o.flagSet, has, nil, inputClashes, &o.inputs); err != nil {
		return err
	}
	return o.outcomesOccur()
}

const (
	forced   = "the command runs whatever its earlier outcome"
	unplayed = "nothing is replayed"
)

// runClashes are those of idem run.
var runClashes = []clash[*runOptions]{
	{"force", "probe", "the command runs whatever the probe says", func(o *runOptions) bool { return o.force && o.probe != "" }},
	{"force", "on-failure*", forced, func(o *runOptions) bool { return o.force && !o.onFailure.rerun() }},
	{"force", "final", forced, func(o *runOptions) bool { return o.force && o.final.set != nil && o.retries == 0 }},
	{"force", "max-attempts", "the command runs however often it has run before", func(o *runOptions) bool { return o.force && o.maxAttempts > 0 }},
	{"force", "replay*", unplayed, func(o *runOptions) bool { return o.force && o.streams.value != "all" }},
	{"force", "partial", unplayed, func(o *runOptions) bool { return o.force && o.partial }},
	{"force", "exact", unplayed, func(o *runOptions) bool { return o.force && o.exact }},
	{"force", "hook replay=CMD", unplayed, func(o *runOptions) bool { return o.force && o.hooks.at(runner.EventReplay) }},
	{"on-failure replay", "final", "every failure is replayed", func(o *runOptions) bool { return o.replaysFailures() && o.final.set != nil && o.retries == 0 }},
	{"ok", "final", "these statuses are a success", func(o *runOptions) bool { return o.succeeds(o.final.set) }},
	{"ok", "retry-on", "these statuses are a success", func(o *runOptions) bool { return o.succeeds(o.retryOn.set) }},
	{"final", "retry-on", "these failures are not run again", func(o *runOptions) bool { return o.retryOn.set.Within(o.final.set) }},
	{"final", "retries", "no failure is run again", func(o *runOptions) bool { return o.retries > 0 && failures.Within(o.final.set) }},
	{"ok", "retries", "every status is a success", func(o *runOptions) bool { return o.retries > 0 && o.succeeds(failures) }},
	{"max-attempts 1", "retries", "the first attempt is the last", func(o *runOptions) bool { return o.maxAttempts == 1 && o.retries > 0 }},

	{"on-interrupted rerun", "exit-code interrupted=N", "nothing is refused as interrupted", func(o *runOptions) bool { return o.onInterrupted.rerun() && o.exitCodes.changes(exitInterrupted) }},
	{"on-interrupted rerun", "hook interrupted=CMD", "nothing is refused as interrupted", func(o *runOptions) bool { return o.onInterrupted.rerun() && o.hooks.at(runner.EventInterrupted) }},
	{"on-mismatch rerun", "exit-code mismatch=N", "other inputs are not refused", func(o *runOptions) bool { return o.onMismatch.rerun() && o.exitCodes.changes(exitMismatch) }},
	{"on-mismatch rerun", "hook mismatch=CMD", "other inputs are not refused", func(o *runOptions) bool { return o.onMismatch.rerun() && o.hooks.at(runner.EventMismatch) }},
	{"on-failure replay", "exit-code failed=N", "a failure is replayed, not refused", func(o *runOptions) bool {
		return o.onFailure.value == string(runner.ChoiceReplay) && o.maxAttempts == 0 && o.exitCodes.changes(exitFailed)
	}},
	{"wait", "hook busy=CMD", "a wait without a limit ends when the key is free", func(o *runOptions) bool { return o.wait.set && o.wait.limit == 0 && o.hooks.at(runner.EventBusy) }},

	{"quiet-ok", "no-store output", "a failure prints the recorded output", func(o *runOptions) bool { return o.quietOK && o.noStore.output }},
	{"quiet-ok", "replay*", "a replayed success prints nothing, and no failure is replayed", func(o *runOptions) bool {
		return o.quietOK && o.streams.value != "all" && !o.replaysFailures() && o.final.set == nil
	}},
	{"quiet-ok", "partial", "a replayed success prints nothing", func(o *runOptions) bool { return o.quietOK && o.partial }},
	{"quiet-ok", "exit-code output=N", "a success prints nothing", func(o *runOptions) bool { return o.quietOK && o.exitCodes.changes(exitOutput) }},
	{"quiet", "verbose", "--quiet prints errors only, --verbose prints more", func(o *runOptions) bool { return o.ui.quiet && o.ui.verbose }},

	{"partial", "exact", "--partial accepts an incomplete replay, --exact refuses it", func(o *runOptions) bool { return o.partial && o.exact }},
	{"partial", "replay*", "stdout is not replayed", func(o *runOptions) bool {
		return o.partial && (o.streams.value == "none" || o.streams.value == "stderr")
	}},
	{"no-store output", "max-output", "no output is recorded", func(o *runOptions) bool { return o.noStore.output && o.maxOutput.bytes != defaultMaxOutput.bytes }},
	{"no-store output", "replay-file", "additions to files are output", func(o *runOptions) bool { return o.noStore.output && len(o.paths) > 0 }},

	{"tty", "hash-stdin", "typed input cannot be read before the command starts", func(o *runOptions) bool { return o.tty && o.inputs.Stdin }},
	{"tty", "replay*", "a terminal has one output stream", func(o *runOptions) bool { return o.tty && (o.streams.value == "stdout" || o.streams.value == "stderr") }},
	{"no-stdin", "hash-stdin", "--no-stdin gives the command an empty stdin", func(o *runOptions) bool { return o.noStdin && o.inputs.Stdin }},
	{"no-stdin", "tty", "--no-stdin gives the command an empty stdin", func(o *runOptions) bool { return o.noStdin && o.tty }},
	{"on-ledger-error run", "hash-stdin", "stdin can be read only once", func(o *runOptions) bool { return o.onLedgerError.value == "run" && o.inputs.Stdin }},
}

// replaysFailures reports whether every failure is replayed.
func (o *runOptions) replaysFailures() bool { return o.onFailure.value == string(runner.ChoiceReplay) }

// succeeds reports whether all of a set, which is not empty, is a success. A
// command that --timeout ended has failed, whatever --ok says of its status.
func (o *runOptions) succeeds(set runner.Codes) bool {
	return set.Within(o.ok.set) && (o.timeout.Duration == 0 || !set.Has(runner.TimeoutStatus))
}

// rerun reports whether what happened before is to be run again.
func (c *choice) rerun() bool { return c.value == string(runner.ChoiceRerun) }

// failures are the exit statuses of commands that failed.
var failures = runner.Codes{{First: 1, Last: 255}}

// outcomesOccur refuses --exit-code and --hook for what no call with these flags
// comes to.
func (o *runOptions) outcomesOccur() error {
	switch {
	case o.exitCodes.changes(exitMismatch) && o.key == "":
		return lacking("exit-code mismatch=N", "key")
	case o.hooks.at(runner.EventMismatch) && o.key == "":
		return lacking("hook mismatch=CMD", "key")
	}
	return nil
}

// windowClashes are those of the flags about the window of a call.
var windowClashes = []clash[*windowFlags]{
	{"per*", "ttl", "a window ends before a record in it gets that old", func(o *windowFlags) bool {
		return o.per.value != "" && o.at == "" && o.ttl.limit >= hashkey.Per(o.per.value).Longest()
	}},
	{"day-start", "per hour", daysOnly, func(o *windowFlags) bool { return o.movesHours() }},
}

// inputClashes are those of the flags about the inputs of a call.
var inputClashes = []clash[*inputFlags]{
	{"hash none", "hash-ignore", "no argument is an input", func(o *inputFlags) bool { return o.hash.value == "none" && len(o.Ignore) > 0 }},
}

const daysOnly = "it moves the windows of a day or longer"

// movesHours reports whether the hours are to begin at a time of day.
func (o *calendarFlags) movesHours() bool {
	return o.per.value == string(hashkey.PerHour) && strings.Trim(o.dayStart, "0:") != ""
}

// whichClashes are those of commands about recorded keys.
var whichClashes = []clash[*whichFlags]{
	{"day-start", "per hour", daysOnly, func(o *whichFlags) bool { return o.calendar.movesHours() }},
	{"window", "per", "both name the window", func(o *whichFlags) bool { return o.window.set && o.calendar.per.value != "" }},
	{"latest", "window", "--latest selects the window itself", func(o *whichFlags) bool { return o.latest && o.window.set }},
	{"latest", "per", "--latest selects the window itself", func(o *whichFlags) bool { return o.latest && o.calendar.per.value != "" }},
}

// fits refuses flags that do not go together in a command about recorded keys.
func (o *whichFlags) fits() error {
	return fitting(o.command.Flags(), o.has, needs, whichClashes, o)
}

// has reports whether a flag is on the command line. The key is an argument.
func (o *whichFlags) has(name string) bool { return name == "key" || o.command.Flags().Changed(name) }

// fits refuses flags of idem mark that do not go together; name says how the key
// is settled.
func (o *markOptions) fits(name string, bound bool) error {
	f := o.record.command.Flags()
	err := fitting(f, o.record.has, append([]need{{"max-output", []string{"stdout-file"}}}, needs...), inputClashes, &o.inputs)
	if err == nil && o.inputs.Stdin && o.stdoutFile == "-" {
		err = clashing("hash-stdin", "stdout-file -", "both read stdin")
	}
	if err != nil {
		return err
	}
	const form = "write the command after the key: KEY -- COMMAND [ARG...]"
	var hash string
	f.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "hash") {
			hash = f.Name
		}
	})
	switch {
	case name == "retry" && (f.Changed("exit-code") || f.Changed("stdout-file")):
		return usage("--exit-code and --stdout-file can't be combined with retry").detail("a key that is to run again has no outcome")
	case o.replace && !bound:
		return usage("--replace requires a command").hint(form)
	case hash != "" && !bound:
		return usage("--%s requires a command", hash).hint(form)
	}
	return nil
}

// fits refuses flags of idem logs that do not go together.
func (o *logsOptions) fits() error {
	if o.stdout && o.stderr {
		return clashing("stdout", "stderr", "without either, both are printed")
	}
	return nil
}

// fitsNew refuses whatever is given with idem key --new, which prints a UUID that
// depends on nothing.
func fitsNew(f *pflag.FlagSet, args []string) error {
	if len(args) > 0 {
		return usage("--new can't be combined with a command").detail("a new UUID depends on nothing")
	}
	var err error
	f.Visit(func(fl *pflag.Flag) {
		if err == nil && fl.Name != "new" && !slices.Contains(everywhere, fl.Name) {
			err = clashing("new", fl.Name, "a new UUID depends on nothing")
		}
	})
	return err
}

// everywhere are the flags of every command, which a wrapper may always give.
var everywhere = []string{"ledger", "namespace", "trust-place", "quiet", "verbose"}
