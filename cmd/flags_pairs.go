package cmd

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/runner"
)

// Every flag of a call must have an effect, because its caller expects one. This file
// alone lists the flags that cannot be combined, of all commands. A flag with its
// default value is never refused, so a script may write defaults or compute a 0.
// pairs_test.go tests all pairs of flags of idem run.

// need is a flag that has an effect only together with another flag.
type need struct {
	flag string
	of   []string // one of them must be on the command line, with any value
}

// needs are the needs that all commands share. A command that lacks one of the flags
// ignores its need.
var needs = []need{
	{"tz", []string{"per"}},
	{"at", []string{"per"}},
	{"day-start", []string{"per"}},
	{"max-stdin", []string{"hash-stdin"}},
	{"allow-empty-parts", []string{"key"}},
	{"on-mismatch", []string{"key"}}, // different inputs lead to a different derived key
	{"probe-first", []string{"probe"}},
	{"probe-on", []string{"probe"}},
	{"on-unverified", []string{"verify"}},
	{"probe-timeout", []string{"probe", "verify"}},
	{"ask", []string{"probe", "verify"}},
	{"retry-delay", []string{"retries"}},
	{"retry-max-delay", []string{"retries"}},
	{"retry-on", []string{"retries"}},
	{"kill-after", []string{"timeout", "probe", "verify", "lease"}}, // or a shared ledger without --lease
}

// clash is a pair of flags that cannot be combined. In the message, the value of the
// flag follows a name that ends with *.
type clash[T any] struct {
	flag, other string
	why         string
	is          func(T) bool // the call has both
}

// checkFlagPairs refuses the first flag in f that lacks a flag it needs, and then the
// first clash. The options of the call are o. The function has reports whether a flag
// is on the command line.
func checkFlagPairs[T any](f *pflag.FlagSet, has func(string) bool, needs []need, clashes []clash[T], o T) error {
	var err error
	f.Visit(func(fl *pflag.Flag) {
		for i := range needs {
			n := &needs[i]
			if n.flag == fl.Name && err == nil && fl.Value.String() != fl.DefValue && !slices.ContainsFunc(n.of, has) {
				err = needError(n.flag, n.of...)
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range clashes {
		if c := &clashes[i]; c.is(o) {
			return clashError(clashName(f, c.flag), clashName(f, c.other), c.why)
		}
	}
	return nil
}

// clashName returns the name of a flag of a clash for a message: as it is on the command line,
// where a state can be a flag itself.
func clashName(f *pflag.FlagSet, flag string) string {
	if flag == "state" && !f.Changed(flag) {
		for _, p := range shortStates {
			if f.Changed(string(p)) {
				return string(p)
			}
		}
	}
	name, valued := strings.CutSuffix(flag, "*")
	if valued {
		return name + " " + f.Lookup(name).Value.String()
	}
	return name
}

// needError returns the error of a flag that needs one of the flags of.
func needError(flag string, of ...string) error {
	last := len(of) - 1
	list := of[last]
	if last > 0 {
		list = strings.Join(of[:last], ", --") + " or --" + list
	}
	return usage("--%s requires --%s", flag, list)
}

// clashError returns the error of two flags that cannot be combined.
func clashError(flag, other, why string) error {
	return usage("--%s can't be combined with --%s", flag, other).detail("%s", why).hint("leave out one of them")
}

// checkPairs refuses flags of a call that cannot be combined.
func (o *runOptions) checkPairs() error {
	has := func(name string) bool {
		switch {
		case name == "key": // an argument of idem check
			return o.key != ""
		case name == "lease" && o.inShared(): // a default
			return true
		}
		return o.given(name)
	}
	if err := checkFlagPairs(o.flagSet, has, needs, runClashes, o); err != nil {
		return err
	}
	if err := checkFlagPairs(o.flagSet, has, nil, calendarClashes, &o.calendarFlags); err != nil {
		return err
	}
	if err := checkFlagPairs(o.flagSet, has, nil, windowClashes, &o.windowFlags); err != nil {
		return err
	}
	if err := checkFlagPairs(o.flagSet, has, nil, inputClashes, &o.inputs); err != nil {
		return err
	}
	if o.step != nil {
		if err := checkFlagPairs(o.flagSet, has, nil, stepClashes, o); err != nil {
			return err
		}
	}
	if err := o.parseMutexes(); err != nil {
		return err
	}
	return o.checkOutcomes()
}

const (
	afterForce    = "the command runs whatever its earlier outcome"
	neverReplayed = "nothing is replayed"
)

// runClashes are the clashes of idem run.
var runClashes = []clash[*runOptions]{
	{"force", "probe", "the command runs whatever the probe says", func(o *runOptions) bool { return o.force && o.probe != "" }},
	{"force", "on-failure*", afterForce, func(o *runOptions) bool { return o.force && !o.onFailure.rerun() }},
	{"force", "final", afterForce, func(o *runOptions) bool { return o.force && o.final.set != nil && o.retries == 0 }},
	{"force", "max-attempts", "the command runs however often it has run before", func(o *runOptions) bool { return o.force && o.maxAttempts > 0 }},
	{"force", "rerun-within", "the command runs however old its first attempt is", func(o *runOptions) bool { return o.force && o.rerunWithin.Duration > 0 }},
	{"force", "verify", neverReplayed, func(o *runOptions) bool { return o.force && o.verify != "" }},
	{"force", "replay*", neverReplayed, func(o *runOptions) bool { return o.force && o.streams.value != "all" }},
	{"force", "partial", neverReplayed, func(o *runOptions) bool { return o.force && o.partial }},
	{"force", "exact", neverReplayed, func(o *runOptions) bool { return o.force && o.exact }},
	{"force", "wait=fresh", afterForce, func(o *runOptions) bool { return o.force && o.wait.fresh }},
	{"resumable", "on-interrupted*", "--resumable runs an interrupted attempt again", func(o *runOptions) bool {
		return o.resumable && o.given("on-interrupted")
	}},
	{"ttl", "wait=fresh", "a result that began after the call has not expired", func(o *runOptions) bool { return o.ttl.limit > 0 && o.wait.fresh }},
	{"probe-first", "wait=fresh", "work that was done before the call does not count", func(o *runOptions) bool { return o.probeFirst && o.wait.fresh }},
	{"on-failure replay", "final", "every failure is replayed", func(o *runOptions) bool { return o.replaysFailures() && o.final.set != nil && o.retries == 0 }},
	{"ok", "final", "these statuses are a success", func(o *runOptions) bool { return o.succeeds(o.final.set) }},
	{"ok", "retry-on", "these statuses are a success", func(o *runOptions) bool { return o.succeeds(o.retryOn.set) }},
	{"final", "retry-on", "these failures are not run again", func(o *runOptions) bool { return o.retryOn.set.Within(o.final.set) }},
	{"final", "retries", "no failure is run again", func(o *runOptions) bool { return o.retries > 0 && failures.Within(o.final.set) }},
	{"ok", "retries", "every status is a success", func(o *runOptions) bool { return o.retries > 0 && o.succeeds(failures) }},
	{"kill-after*", "lease*", "KILL must come in the first half of the lease, so that the command does not outlive it", func(o *runOptions) bool { return o.given("lease") && o.killsTooLate() }},
	{"max-attempts 1", "retries", "the first attempt is the last", func(o *runOptions) bool { return o.maxAttempts == 1 && o.retries > 0 }},

	{"quiet-ok", "no-store output", "a failure prints the recorded output", func(o *runOptions) bool { return o.quietOK && o.noStore.output }},
	{"quiet-ok", "replay*", "a replayed success prints nothing, and no failure is replayed", func(o *runOptions) bool {
		return o.quietOK && o.streams.value != "all" && !o.replaysFailures() && o.final.set == nil
	}},
	{"quiet-ok", "partial", "a replayed success prints nothing", func(o *runOptions) bool { return o.quietOK && o.partial }},
	{"quiet", "verbose", "--quiet prints errors only, --verbose prints more", func(o *runOptions) bool { return o.ui.quiet && o.ui.verbose }},

	{"quiet-ok", "json", "the JSON object is printed in any case", func(o *runOptions) bool { return o.quietOK && o.json }},
	{"meta-fd*", "json", "both objects would be on stdout", func(o *runOptions) bool { return o.metaFD == 1 && o.json }},

	{"partial", "exact", "--partial accepts an incomplete replay, --exact refuses it", func(o *runOptions) bool { return o.partial && o.exact }},
	{"partial", "replay*", "stdout is not replayed", func(o *runOptions) bool {
		return o.partial && (o.streams.value == "none" || o.streams.value == "stderr")
	}},
	{"no-store output", "max-output", "no output is recorded", func(o *runOptions) bool { return o.noStore.output && o.maxOutput.bytes != defaultMaxOutput.bytes }},
	{"no-store output", "replay-file", "additions to files are output", func(o *runOptions) bool { return o.noStore.output && len(o.paths) > 0 }},

	{"tty", "hash-stdin", "typed input cannot be read before the command starts", func(o *runOptions) bool { return o.tty && o.inputs.Stdin }},
	{"tty", "replay*", "a terminal has one output stream", func(o *runOptions) bool { return o.tty && (o.streams.value == "stdout" || o.streams.value == "stderr") }},
	{"tty", "json", "the output of a terminal is for a person, who would not see it", func(o *runOptions) bool { return o.tty && o.json }},
	{"no-stdin", "hash-stdin", "--no-stdin gives the command an empty stdin", func(o *runOptions) bool { return o.noStdin && o.inputs.Stdin }},
	{"no-stdin", "tty", "--no-stdin gives the command an empty stdin", func(o *runOptions) bool { return o.noStdin && o.tty }},
	{"on-ledger-error run", "hash-stdin", "stdin can be read only once", func(o *runOptions) bool { return o.onLedgerError.value == "run" && o.inputs.Stdin }},
}

// stepClashes are the clashes of the flags that only idem step has.
var stepClashes = []clash[*runOptions]{
	{"every-attempt", "in", "--in names no attempt of the run", func(o *runOptions) bool { return o.step.everyAttempt && o.step.in != "" }},
	{"drain", "force", neverReplayed, func(o *runOptions) bool { return o.step.drain && o.force }},
	{"drain", "no-stdin", "--no-stdin leaves stdin to other commands", func(o *runOptions) bool { return o.step.drain && o.noStdin }},
	{"drain", "hash-stdin", "--hash-stdin reads stdin to its end in any case", func(o *runOptions) bool { return o.step.drain && o.inputs.Stdin }},
	{"drain", "tty", "the end of a terminal may never come", func(o *runOptions) bool { return o.step.drain && o.tty }},
}

// refusesNoUnknown reports whether no call with these flags is refused because an outcome
// or an effect is unknown.
func (o *runOptions) refusesNoUnknown() bool {
	return (o.onInterrupted.rerun() || o.resumable) && o.rerunWithin.Duration == 0 &&
		(o.verify == "" || o.onUnverified.value != string(runner.ChoiceRefuse))
}

// replaysFailures reports whether every failure is replayed.
func (o *runOptions) replaysFailures() bool { return o.onFailure.value == string(runner.ChoiceReplay) }

// succeeds reports whether all statuses of a non-empty set are a success. A command
// that --timeout ended has failed, even if --ok has its status.
func (o *runOptions) succeeds(set runner.Codes) bool {
	return set.Within(o.ok.set) && (o.timeout.Duration == 0 || !set.Has(runner.TimeoutStatus))
}

// rerun reports whether the command runs again after the earlier outcome.
func (c *choice) rerun() bool { return c.value == string(runner.ChoiceRerun) }

// failures are the exit statuses of commands that failed.
var failures = runner.Codes{{First: 1, Last: 255}}

// windowClashes are the clashes of the flags about the window of a call.
var windowClashes = []clash[*windowFlags]{
	{"per*", "ttl", "a window ends before a record in it gets that old", func(o *windowFlags) bool {
		return o.per.Per != "" && o.at == "" && o.ttl.limit >= o.per.Longest()
	}},
}

// calendarClashes are the clashes of the flags that select a window.
var calendarClashes = []clash[*calendarFlags]{
	{"at", "per boot", noCalendar, func(o *calendarFlags) bool { return o.per.Per == hashkey.PerBoot && o.at != "" }},
	{"tz", "per boot", noCalendar, func(o *calendarFlags) bool { return o.per.Per == hashkey.PerBoot && o.zone != "" }},
	{"day-start", "per boot", noCalendar, func(o *calendarFlags) bool { return o.per.Per == hashkey.PerBoot && o.shiftsDays() }},
	{"day-start", "per*", "it moves the windows of a day or longer", func(o *calendarFlags) bool { return o.per.Clock() && o.shiftsDays() }},
}

const noCalendar = "a boot is not a window of the calendar"

// inputClashes are the clashes of the flags about the inputs of a call.
var inputClashes = []clash[*inputFlags]{
	{"hash none", "hash-ignore", "no argument is an input", func(o *inputFlags) bool { return o.hash.value == "none" && len(o.Ignore) > 0 }},
}

// shiftsDays reports whether --day-start would move the start of a day.
func (o *calendarFlags) shiftsDays() bool { return strings.Trim(o.dayStart, "0:") != "" }

// listClashes are the clashes of idem list.
var listClashes = []clash[*listOptions]{
	{"mutexes", "under", "a mutex has no steps or items", func(o *listOptions) bool { return o.mutexes && o.under != "" }},
	{"mutexes", "state", "a mutex has no state", func(o *listOptions) bool { return o.mutexes && len(o.phases()) > 0 }},
	{"mutexes", "since", "the times are those of keys", func(o *listOptions) bool { return o.mutexes && o.since != "" }},
	{"mutexes", "until", "the times are those of keys", func(o *listOptions) bool { return o.mutexes && o.until != "" }},
	{"mutexes", "glob", "a pattern selects keys", func(o *listOptions) bool { return o.mutexes && o.glob != "" }},
	{"mutexes", "limit", "a limit counts keys", func(o *listOptions) bool { return o.mutexes && o.limit > 0 }},
	{"jobs", "mutexes", "each lists something else", func(o *listOptions) bool { return o.jobs && o.mutexes }},
	{"jobs", "under", "a job has the steps and items of its keys", func(o *listOptions) bool { return o.jobs && o.under != "" }},
	{"jobs", "state", "a job has attempts in all states", func(o *listOptions) bool { return o.jobs && len(o.phases()) > 0 }},
	{"jobs", "items", "a job has the items of its keys", func(o *listOptions) bool { return o.jobs && o.items }},
	{"items", "json", "an array has the item of each element", func(o *listOptions) bool { return o.items && o.json }},
	{"items", "jsonl", "an object has its item", func(o *listOptions) bool { return o.items && o.jsonl }},
	{"json", "jsonl", "both choose the form", func(o *listOptions) bool { return o.json && o.jsonl }},
}

var listNeeds = []need{{"group-by", []string{"jobs"}}}

// checkPairs refuses flags of idem list that cannot be combined.
func (o *listOptions) checkPairs(f *pflag.FlagSet) error {
	if err := checkFlagPairs(f, f.Changed, listNeeds, listClashes, o); err != nil {
		return err
	}
	return o.underFlags.checkPairs(f, nil, recordNames, "")
}

// statsNeeds and statsClashes are those of idem stats.
var statsNeeds = []need{{"max-jobs", []string{"prometheus", "openmetrics"}}}

const (
	oneStatsForm = "each is another form of the result"
	statsCounter = "a counter of a metric must not go down"
	statsByJob   = "metrics are those of jobs"
)

var statsClashes = []clash[*statsOptions]{
	{"json", "prometheus", oneStatsForm, func(o *statsOptions) bool { return o.json && o.prometheus }},
	{"json", "openmetrics", oneStatsForm, func(o *statsOptions) bool { return o.json && o.openmetrics }},
	{"prometheus", "openmetrics", oneStatsForm, func(o *statsOptions) bool { return o.prometheus && o.openmetrics }},
	{"since", "prometheus", statsCounter, func(o *statsOptions) bool { return o.since != "" && o.prometheus }},
	{"since", "openmetrics", statsCounter, func(o *statsOptions) bool { return o.since != "" && o.openmetrics }},
	{"by*", "prometheus", statsByJob, func(o *statsOptions) bool { return o.by.value != "job" && o.prometheus }},
	{"by*", "openmetrics", statsByJob, func(o *statsOptions) bool { return o.by.value != "job" && o.openmetrics }},
	{"top", "prometheus", "--max-jobs limits metrics", func(o *statsOptions) bool { return o.top != defaultTop && o.prometheus }},
	{"top", "openmetrics", "--max-jobs limits metrics", func(o *statsOptions) bool { return o.top != defaultTop && o.openmetrics }},
	{"by*", "group-by", "--group-by is about jobs", func(o *statsOptions) bool { return o.by.value != "job" && len(o.groupBy) > 0 }},
}

// singleNames are the flags of idem mark that are about one key.
var singleNames = []string{
	"allow-empty-parts", "hash", "hash-cwd", "hash-env", "hash-file", "hash-file-optional", "hash-ignore", "hash-stdin", "hash-value",
	"max-output", "max-stdin", "no-store", "replace", "stdout-file",
}

// recordClashes are the clashes of commands about recorded keys.
var recordClashes = []clash[*recordFlags]{
	{"window", "per", "both name the window", func(o *recordFlags) bool { return o.window.set && o.calendar.per.Per != "" }},
	{"latest", "window", "--latest selects the window itself", func(o *recordFlags) bool { return o.latest && o.window.set }},
	{"latest", "per", "--latest selects the window itself", func(o *recordFlags) bool { return o.latest && o.calendar.per.Per != "" }},
}

// checkPairs refuses flags that cannot be combined in a command about recorded keys.
func (o *recordFlags) checkPairs() error {
	if err := checkFlagPairs(o.command.Flags(), o.has, needs, calendarClashes, o.calendar); err != nil {
		return err
	}
	return checkFlagPairs(o.command.Flags(), o.has, nil, recordClashes, o)
}

// has reports whether a flag is on the command line. The key is an argument, which is
// always there.
func (o *recordFlags) has(name string) bool { return name == "key" || o.command.Flags().Changed(name) }

// checkPairs refuses flags of idem mark that cannot be combined. name is the HOW of the
// call. bound reports whether it has a command.
func (o *markOptions) checkPairs(name string, bound bool) error {
	f := o.record.command.Flags()
	if err := o.below.checkPairs(f, singleNames, underNames, "a step or an item keeps its inputs, and the mark has no output"); err != nil {
		return err
	}
	err := checkFlagPairs(f, o.record.has, append([]need{{"max-output", []string{"stdout-file"}}}, needs...), inputClashes, &o.inputs)
	if err == nil && o.inputs.Stdin && o.stdoutFile == "-" {
		err = clashError("hash-stdin", "stdout-file -", "both read stdin")
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

const (
	offsetEach = "each element has its offset"
	exactText  = "an element has the exact bytes"
)

// logsClashes are the clashes of idem logs.
var logsClashes = []clash[*logsOptions]{
	{"stdout", "stderr", "without either, both are printed", func(o *logsOptions) bool { return o.stdout && o.stderr }},
	{"json", "jsonl", "both choose the form", func(o *logsOptions) bool { return o.json && o.jsonl }},
	{"json", "follow", "--jsonl has the elements of the array as they come", func(o *logsOptions) bool { return o.json && o.follow }},
	{"json", "timestamps", offsetEach, func(o *logsOptions) bool { return o.json && o.timestamps }},
	{"jsonl", "timestamps", offsetEach, func(o *logsOptions) bool { return o.jsonl && o.timestamps }},
	{"json", "raw", exactText, func(o *logsOptions) bool { return o.json && o.raw }},
	{"jsonl", "raw", exactText, func(o *logsOptions) bool { return o.jsonl && o.raw }},
}

// checkPairs refuses flags of idem logs that cannot be combined.
func (o *logsOptions) checkPairs(f *pflag.FlagSet) error {
	return checkFlagPairs(f, f.Changed, nil, logsClashes, o)
}

// checkNew refuses a command and flags for idem key --new, because the UUID that it
// prints depends on nothing.
func checkNew(f *pflag.FlagSet, args []string) error {
	if len(args) > 0 {
		return usage("--new can't be combined with a command").detail("a new UUID depends on nothing")
	}
	var err error
	f.Visit(func(fl *pflag.Flag) {
		if err == nil && fl.Name != "new" && !slices.Contains(commonFlags, fl.Name) {
			err = clashError("new", fl.Name, "a new UUID depends on nothing")
		}
	})
	return err
}

// commonFlags are the flags that a wrapper may add to any command.
var commonFlags = []string{"ledger", "connect-timeout", "namespace", "trust-place", "quiet", "verbose"}
