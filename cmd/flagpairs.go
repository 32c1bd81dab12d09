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

// clash is a pair of flags that do not go together if the call has both.
type clash struct {
	flag, value   string // the value may be empty: the name says it all
	other, value2 string
	why           string
	is            bool // the call has both
}

// fitting refuses the first of the flags of a call that does not fit the others.
// has reports whether a flag is on the command line.
func fitting(f *pflag.FlagSet, has func(string) bool, needs []need, clashes []clash) error {
	var err error
	f.Visit(func(fl *pflag.Flag) {
		for i := range needs {
			n := &needs[i]
			if err == nil && n.flag == fl.Name && fl.Value.String() != fl.DefValue && !slices.ContainsFunc(n.of, has) {
				err = lacking(n.flag, n.of...)
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range clashes {
		if c := &clashes[i]; c.is {
			return c.refusal()
		}
	}
	return nil
}

// lacking is for a flag that needs one of others.
func lacking(flag string, of ...string) error {
	return usage("--%s needs --%s", flag, strings.Join(of, " or --"))
}

func (c *clash) refusal() error {
	word := func(flag, value string) string { return strings.TrimSpace("--" + flag + " " + value) }
	return usage("%s can't be combined with %s: %s", word(c.flag, c.value), word(c.other, c.value2), c.why).hint("leave out one of them")
}

// fits refuses flags of a call that do not go together.
func (o *runOptions) fits() error {
	has := func(name string) bool {
		if name == "key" { // which idem check takes as its argument
			return o.key != ""
		}
		return o.given(name)
	}
	clashes := append(o.identity.clashes(), o.clashes()...)
	if err := fitting(o.flagSet, has, needs, clashes); err != nil {
		return err
	}
	return o.outcomesOccur()
}

// clashes are those of idem run.
func (o *runOptions) clashes() []clash {
	const (
		forced   = "the command runs whatever became of it before"
		unplayed = "nothing is replayed"
	)
	onFailure, once := o.onFailure.value, o.retries == 0
	replaysFailures := onFailure == string(runner.ReplayIt) || o.final.set != nil
	streams := o.streams.value
	// A command that --timeout ended has failed, whatever --ok says of its status.
	succeeds := func(set runner.Codes) bool {
		return set.Within(o.ok.set) && (o.timeout.Duration == 0 || !set.Has(runner.TimeoutStatus))
	}
	rerun := func(c choice) bool { return c.value == string(runner.Rerun) }
	return []clash{
		{flag: "force", other: "probe", why: "the command runs whatever the probe says", is: o.force && o.probe != ""},
		{flag: "force", other: "on-failure", value2: onFailure, why: forced, is: o.force && !rerun(o.onFailure)},
		{flag: "force", other: "final", why: forced, is: o.force && o.final.set != nil && once},
		{flag: "force", other: "max-attempts", why: "the command runs however often it has run before", is: o.force && o.maxAttempts > 0},
		{flag: "force", other: "replay", value2: streams, why: unplayed, is: o.force && streams != "all"},
		{flag: "force", other: "partial", why: unplayed, is: o.force && o.partial},
		{flag: "force", other: "exact", why: unplayed, is: o.force && o.exact},
		{flag: "force", other: "hook", value2: "replay=CMD", why: unplayed, is: o.force && o.hooks.at(runner.OnReplay)},
		{flag: "on-failure", value: "replay", other: "final", why: "every failure is replayed", is: onFailure == string(runner.ReplayIt) && o.final.set != nil && once},
		{flag: "ok", other: "final", why: "these statuses are a success", is: succeeds(o.final.set)},
		{flag: "ok", other: "retry-on", why: "these statuses are a success", is: succeeds(o.retryOn.set)},
		{flag: "final", other: "retry-on", why: "these failures are not run again", is: o.retryOn.set.Within(o.final.set)},
		{flag: "final", other: "retries", why: "no failure is run again", is: o.retries > 0 && failures.Within(o.final.set)},
		{flag: "ok", other: "retries", why: "every status is a success", is: o.retries > 0 && succeeds(failures)},
		{flag: "max-attempts", value: "1", other: "retries", why: "the first attempt is the last", is: o.maxAttempts == 1 && o.retries > 0},

		{flag: "on-interrupted", value: "rerun", other: "exit-code", value2: "interrupted=N", why: "nothing is refused as interrupted", is: rerun(o.onInterrupted) && o.exitCodes.changes(exitInterrupted)},
		{flag: "on-interrupted", value: "rerun", other: "hook", value2: "interrupted=CMD", why: "nothing is refused as interrupted", is: rerun(o.onInterrupted) && o.hooks.at(runner.OnInterrupted)},
		{flag: "on-mismatch", value: "rerun", other: "exit-code", value2: "mismatch=N", why: "other inputs are not refused", is: rerun(o.onMismatch) && o.exitCodes.changes(exitMismatch)},
		{flag: "on-mismatch", value: "rerun", other: "hook", value2: "mismatch=CMD", why: "other inputs are not refused", is: rerun(o.onMismatch) && o.hooks.at(runner.OnMismatch)},
		{flag: "wait", other: "hook", value2: "busy=CMD", why: "a wait without a limit ends when the key is free", is: o.wait.set && o.wait.limit == 0 && o.hooks.at(runner.OnBusy)},

		{flag: "quiet-ok", other: "no-store", value2: "output", why: "what is printed after a failure is what is recorded", is: o.quietOK && o.noStore.output},
		{flag: "quiet-ok", other: "replay", value2: streams, why: "a replayed success prints nothing, and no failure is replayed", is: o.quietOK && streams != "all" && !replaysFailures},
		{flag: "quiet-ok", other: "partial", why: "a replayed success prints nothing", is: o.quietOK && o.partial},
		{flag: "quiet-ok", other: "exit-code", value2: "output=N", why: "a success prints nothing", is: o.quietOK && o.exitCodes.changes(exitOutput)},
		{flag: "quiet", other: "verbose", why: "the one asks for errors only, the other for more than that", is: o.ui.quiet && o.ui.verbose},

		{flag: "partial", other: "exact", why: "the one accepts a replay that lacks something, the other refuses it", is: o.partial && o.exact},
		{flag: "partial", other: "replay", value2: streams, why: "stdout is not replayed", is: o.partial && (streams == "none" || streams == "stderr")},
		{flag: "no-store", value: "output", other: "max-output", why: "no output is recorded", is: o.noStore.output && o.maxOutput.bytes != defaultMaxOutput.bytes},
		{flag: "no-store", value: "output", other: "replay-file", why: "what is appended to a file is output", is: o.noStore.output && len(o.paths) > 0},

		{flag: "tty", other: "hash-stdin", why: "the one is for input that is typed, the other for input that is there before", is: o.tty && o.hashStdin},
		{flag: "tty", other: "replay", value2: streams, why: "all output of a terminal is one stream", is: o.tty && (streams == "stdout" || streams == "stderr")},
		{flag: "no-stdin", other: "hash-stdin", why: "the one gives the command no stdin, the other passes it on", is: o.noStdin && o.hashStdin},
		{flag: "no-stdin", other: "tty", why: "the one gives the command no stdin, the other passes it on", is: o.noStdin && o.tty},
		{flag: "on-ledger-error", value: "run", other: "hash-stdin", why: "stdin that was read for its digest cannot be read again", is: o.onLedgerError.value == "run" && o.hashStdin},
	}
}

// failures are the exit statuses of commands that failed.
var failures = runner.Codes{{First: 1, Last: 255}}

// outcomesOccur refuses --exit-code and --hook for what no call with these flags
// comes to.
func (o *runOptions) outcomesOccur() error {
	switch {
	case o.exitCodes.changes(exitFailed) && o.onFailure.value != string(runner.RefuseIt) && o.maxAttempts == 0:
		return lacking("exit-code failed=N", "on-failure refuse", "max-attempts")
	case o.exitCodes.changes(exitMismatch) && o.key == "":
		return lacking("exit-code mismatch=N", "key")
	case o.hooks.at(runner.OnMismatch) && o.key == "":
		return lacking("hook mismatch=CMD", "key")
	case o.hooks.at(runner.OnTimeout) && !o.given("timeout"):
		return lacking("hook timeout=CMD", "timeout")
	}
	return nil
}

// clashes are those of the flags that say which call a call is.
func (o *identity) clashes() []clash {
	per := o.per.value
	return append(o.calendarFlags.clashes(),
		clash{
			flag: "per", value: per, other: "ttl", why: "no record of such a window gets that old",
			is: per != "" && o.at == "" && o.ttl.limit >= hashkey.Per(per).Longest(),
		},
		clash{flag: "hash", value: "none", other: "hash-ignore", why: "no argument counts", is: o.hash.value == "none" && len(o.hashIgnore) > 0},
	)
}

// clashes are those of the flags that say which window is meant.
func (o *calendarFlags) clashes() []clash {
	midnight := o.dayStart == "" || strings.Trim(o.dayStart, "0:") == ""
	return []clash{{
		flag: "day-start", other: "per", value2: "hour", why: "it moves the windows from day on",
		is: o.per.value == string(hashkey.PerHour) && !midnight,
	}}
}

// fits refuses flags that do not go together in a command about recorded keys.
func (o *whichFlags) fits() error {
	per := o.calendar.per.value != ""
	return fitting(o.command.Flags(), o.has, needs, append(o.calendar.clashes(),
		clash{flag: "window", other: "per", why: "both say which window", is: o.window.set && per},
		clash{flag: "latest", other: "window", why: "the one takes the latest window, the other names one", is: o.latest && o.window.set},
		clash{flag: "latest", other: "per", why: "the one takes the latest window, the other names one", is: o.latest && per},
	))
}

// has reports whether a flag is on the command line. The key is an argument.
func (o *whichFlags) has(name string) bool { return name == "key" || o.command.Flags().Changed(name) }

// fits refuses flags of idem mark that do not go together; name says how the key
// is settled.
func (o *markOptions) fits(name string, bound bool) error {
	f := o.record.command.Flags()
	err := fitting(f, o.record.has, append([]need{{"max-output", []string{"stdout-file"}}}, needs...), append(o.identity.clashes(),
		clash{flag: "hash-stdin", other: "stdout-file", value2: "-", why: "both read stdin", is: o.hashStdin && o.stdoutFile == "-"},
	))
	if err != nil {
		return err
	}
	const form = "write it behind the key and a --: -- COMMAND [ARG...]"
	var hash string
	f.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "hash") {
			hash = f.Name
		}
	})
	switch {
	case name == "retry" && (f.Changed("exit-code") || f.Changed("stdout-file")):
		return usage("--exit-code and --stdout-file tell of an outcome, which a key to be run again has not")
	case o.replace && !bound:
		return usage("--replace wants the command that the key is to count for").hint(form)
	case hash != "" && !bound:
		return usage("--%s says what counts beside a command, but there is no command", hash).hint(form)
	}
	return nil
}

// fits refuses flags of idem logs that do not go together.
func (o *logsOptions) fits() error {
	return fitting(o.flags, o.flags.Changed, nil, []clash{
		{flag: "stdout", other: "stderr", why: "without either, both are printed", is: o.stdout && o.stderr},
	})
}

// fitsNew refuses whatever is given with idem key --new, which prints a UUID that
// depends on nothing.
func fitsNew(f *pflag.FlagSet, args []string) error {
	if len(args) > 0 {
		return usage("--new can't be combined with a command: a fresh UUID depends on nothing")
	}
	var err error
	f.Visit(func(fl *pflag.Flag) {
		if err == nil && fl.Name != "new" && !slices.Contains(everywhere, fl.Name) {
			err = (&clash{flag: "new", other: fl.Name, why: "a fresh UUID depends on nothing"}).refusal()
		}
	})
	return err
}

// everywhere are the flags of every command, which a wrapper may always give.
var everywhere = []string{"ledger", "namespace", "trust-place", "quiet", "verbose"}
