package cmd

import (
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"idem/batch"
	"idem/items"
)

// eachOptions are the flags of idem each: those of idem run that apply to each item, and
// those about the list.
type eachOptions struct {
	*runOptions
	parentFlags
	listFlags
	paceFlags
	showFlags
	name      string // NAME, inside of a run
	itemHooks bool
	dryRun    bool
}

// listFlags say how the list is read.
type listFlags struct {
	argFile       string
	nul           bool
	csv           bool
	tsv           bool
	jsonl         bool
	keyFields     []string
	strictNewline bool
	skipBad       bool
	pair          string
	onStdin       bool
}

func (o *listFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.argFile, "arg-file", "", "read the list from the file `PATH` instead of stdin")
	f.BoolVarP(&o.nul, "null", "0", false, "a NUL byte ends an item, not a newline, as in the output of find -print0")
	f.BoolVar(&o.csv, "csv", false, "read CSV (RFC 4180) whose first line names the fields; requires --key-field")
	f.BoolVar(&o.tsv, "tsv", false, "read fields between tabs; the first line names them; requires --key-field")
	f.BoolVar(&o.jsonl, "jsonl", false, "read a JSON object from each line; requires --key-field")
	f.StringSliceVar(&o.keyFields, "key-field", nil, "an item is identified by the field `FIELD`, or by several: F1,F2")
	f.BoolVar(&o.strictNewline, "strict-newline", false, "refuse a last line without a newline, because the program that wrote it may have died in the middle")
	f.BoolVar(&o.skipBad, "skip-bad", false, "go on after a line that cannot be an item; the exit status is then at least 65")
	f.StringVarP(&o.pair, "replace", "I", "{}", "write placeholders with the pair `PAIR`, such as []: [] and [field]")
	f.BoolVar(&o.onStdin, "item-on-stdin", false, "give the item to the command as stdin, byte for byte; a placeholder is then optional")
}

// format returns the format of the list.
func (o *listFlags) format() items.Format {
	switch {
	case o.nul:
		return items.NUL
	case o.csv:
		return items.CSV
	case o.tsv:
		return items.TSV
	case o.jsonl:
		return items.JSONL
	}
	return items.Lines
}

// paceFlags say how many items run, and when no further one does.
type paceFlags struct {
	jobs        slots
	rate        rate
	failFast    bool
	maxFailures tolerance
	stopOn      codes
	killRunning bool
	limit       int
	only        choice
	noWait      bool
}

func (o *paceFlags) addTo(f *pflag.FlagSet) {
	f.VarP(&o.jobs, "jobs", "j", "run `N` items at the same time, or as many as there are CPUs with auto")
	f.Var(&o.rate, "rate", "start at most `N/s` items, or N/m or N/h, retries included; items that are skipped do not count")
	f.BoolVar(&o.failFast, "fail-fast", false, "start nothing more after the first item that failed for good")
	f.Var(&o.maxFailures, "max-failures", "start nothing more after `N` failed items or, of at least 20 that ran, N% failed ones")
	f.Var(&o.stopOn, "stop-on", "start nothing more after an item that failed with one of the exit statuses `CODES`, such as an expired login")
	f.BoolVar(&o.killRunning, "kill-running", false, "when nothing more starts because of failures, also end the running items")
	f.IntVar(&o.limit, "limit", 0, "start at most `N` items")
	f.Var(&o.only, "only", "run only items that are `STATE`: new, failed or interrupted")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait at the end for items that another call is running; the exit status is then 75")
}

// tolerance returns after which failures nothing more starts.
func (o *paceFlags) tolerance() batch.Tolerance {
	t := batch.Tolerance{Failures: o.maxFailures.n, Percent: o.maxFailures.percent, Codes: o.stopOn.set}
	if o.failFast {
		t.Failures = 1
	}
	return t
}

// showFlags say what is printed and written about the items.
type showFlags struct {
	order       choice
	tag         bool
	replayItems choice
	progress    choice
	events      string
	eventsFD    int
	skipped     bool
}

func newShowFlags() showFlags {
	return showFlags{
		order:       choice{value: "input", of: []string{"input", "done"}},
		replayItems: choice{value: "none", of: []string{"none", "all"}},
		progress:    choice{value: "auto", of: []string{"auto", "bar", "lines", "none"}},
		eventsFD:    noMetaFD,
	}
}

func (o *showFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.order, "order", "print the outputs of items in the order of the list: input; or as they end: done")
	f.BoolVar(&o.tag, "tag", false, "print the item and a tab before each line of output")
	f.Var(&o.replayItems, "replay", "print for items that were done before: none, or all of their recorded output")
	f.Var(&o.progress, "progress", "show progress on stderr: auto, bar, lines (one every 30 s) or none")
	f.StringVar(&o.events, "events", "", "write a line of JSON about each event to the file `PATH`")
	f.IntVar(&o.eventsFD, "events-fd", noMetaFD, "write a line of JSON about each event to the open descriptor `N`")
	f.Lookup("events-fd").DefValue = "0" // pflag shows no default that is zero
	f.BoolVar(&o.skipped, "events-skipped", false, "write an event about each item that need not run, too")
}

// notOfEach are the flags of idem run that idem each does not have.
var notOfEach = []string{"hash-stdin", "max-stdin", "resumable"}

// eachUsages returns the texts that replace those about flags of idem run. The other flags mean for each item
// the same as for a run.
func eachUsages() map[string]string {
	return map[string]string{
		"key":         "name the batch with `KEY`; the key of an item is KEY, a slash and the item",
		"on-mismatch": "choose what to do if the command of the batch has changed: refuse (status 65), keep what is done and run the rest with the new command, or rerun all items",
		"quiet-ok":    "print only the output of items that fail",
		"meta-file":   "write a JSON object about the whole call to the file `PATH`",
		"meta-fd":     "write a JSON object about the whole call to the open descriptor `N`",
		"hook":        "run the shell command CMD at the end of the call, on an event: `EVENT=CMD`; with --item-hooks for each item, also on start; see idem run --help",
		"exit-code":   "replace an exit status of idem with N: `NAME=N`, where NAME is running, mismatch, interrupted, failed, some-failed, ledger or output; repeatable",
		"retries":     "run a failed item up to `N` more times within this call; it occupies no job while it waits",
		"force":       "run items again even after a success, but never while they are running",
		"ttl":         "run an item again when its success is older than `AGE`",
	}
}

func newEachOptions() *eachOptions {
	o := &eachOptions{runOptions: newRunOptions(), showFlags: newShowFlags()}
	o.jobs = slots{1, "1"}
	o.only = choice{of: []string{"new", "failed", "interrupted"}}
	o.onMismatch.of = []string{"refuse", "keep", "rerun"}
	return o
}

// eachExitCodes is the value of --exit-code of idem each.
type eachExitCodes struct{ exitCodes }

func (e eachExitCodes) Set(s string) error { return e.set(s, eachRemaps) }

func (e eachExitCodes) words() ([]string, bool) { return remapWords(eachRemaps), false }

// eachRemaps are the exit statuses that --exit-code of idem each can change.
var eachRemaps = []remap{
	{"failed", exitFailed},
	{"interrupted", exitInterrupted},
	{"ledger", exitLedger},
	{"mismatch", exitMismatch},
	{"output", exitOutput},
	{"running", exitBusy},
	{"some-failed", exitSomeFailed},
}

// slots is the value of -j.
type slots struct {
	n    int
	text string
}

func (j *slots) String() string { return j.text }
func (j *slots) Type() string   { return "N" }

func (j *slots) words() ([]string, bool) { return []string{"auto"}, false }

func (j *slots) Set(s string) error {
	n, err := strconv.Atoi(s)
	if s == "auto" {
		n, err = runtime.NumCPU(), nil
	}
	if err != nil || n < 1 || n > maxJobs {
		return errors.New("want a number from 1 to " + strconv.Itoa(maxJobs) + ", or auto")
	}
	*j = slots{n, s}
	return nil
}

const maxJobs = 10_000

// rate is the value of --rate.
type rate struct {
	interval time.Duration // between two starts; 0: none
	text     string
}

func (r *rate) String() string { return r.text }
func (r *rate) Type() string   { return "N/s" }

func (r *rate) Set(s string) error {
	number, unit, ok := strings.Cut(s, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if !ok {
		per = time.Second
	}
	if err != nil || per == 0 || !(n > 0) || n > 1e6 {
		return errors.New("want a rate such as 10/s, 100/m or 0.5/h")
	}
	*r = rate{time.Duration(float64(per) / n), s}
	return nil
}

// tolerance is the value of --max-failures.
type tolerance struct {
	n       int
	percent float64
	text    string
}

func (t *tolerance) String() string { return t.text }
func (t *tolerance) Type() string   { return "N" }

func (t *tolerance) Set(s string) error {
	*t = tolerance{text: s}
	var err error
	if number, ok := strings.CutSuffix(s, "%"); ok {
		if t.percent, err = strconv.ParseFloat(number, 64); err == nil && t.percent > 0 && t.percent <= 100 {
			return nil
		}
	} else if t.n, err = strconv.Atoi(s); err == nil && t.n > 0 {
		return nil
	}
	return errors.New("want a number of items such as 10, or a share such as 5%")
}

// eachClashes are the clashes of the flags that only idem each has.
var eachClashes = []clash[*eachOptions]{
	{"null", "csv", oneFormat, func(o *eachOptions) bool { return o.nul && o.csv }},
	{"null", "tsv", oneFormat, func(o *eachOptions) bool { return o.nul && o.tsv }},
	{"null", "jsonl", oneFormat, func(o *eachOptions) bool { return o.nul && o.jsonl }},
	{"csv", "tsv", oneFormat, func(o *eachOptions) bool { return o.csv && o.tsv }},
	{"csv", "jsonl", oneFormat, func(o *eachOptions) bool { return o.csv && o.jsonl }},
	{"tsv", "jsonl", oneFormat, func(o *eachOptions) bool { return o.tsv && o.jsonl }},
	{"null", "strict-newline", "a NUL byte ends an item", func(o *eachOptions) bool { return o.nul && o.strictNewline }},
	{"fail-fast", "max-failures", "--fail-fast is --max-failures 1", func(o *eachOptions) bool { return o.failFast && o.maxFailures.text != "" }},
	{"force", "only failed", "--force runs items whatever their outcome", func(o *eachOptions) bool { return o.force && o.only.value != "" }},
	{"events-fd*", "meta-fd*", "both would write to one descriptor", func(o *eachOptions) bool { return o.eventsFD != noMetaFD && o.eventsFD == o.metaFD }},
	{"quiet-ok", "replay all", "the output of items that are done is not printed", func(o *eachOptions) bool { return o.quietOK && o.replayItems.value == "all" }},
	{"quiet-ok", "no-store output", "the output is held back until the item ends", func(o *eachOptions) bool { return o.quietOK && o.noStore.output }},
	{"on-mismatch keep", "force", "--force runs all items with the new command", func(o *eachOptions) bool { return o.force && o.onMismatch.value == "keep" }},
	{"dry-run", "events", "nothing happens", func(o *eachOptions) bool { return o.dryRun && o.events != "" }},
	{"dry-run", "events-fd*", "nothing happens", func(o *eachOptions) bool { return o.dryRun && o.eventsFD != noMetaFD }},
	{"dry-run", "meta-file", "nothing happens", func(o *eachOptions) bool { return o.dryRun && o.metaFile != "" }},
	{"dry-run", "meta-fd*", "nothing happens", func(o *eachOptions) bool { return o.dryRun && o.metaFD != noMetaFD }},
	{"dry-run", "hook", "nothing happens", func(o *eachOptions) bool { return o.dryRun && len(o.hooks.list) > 0 }},
}

const oneFormat = "a list has one format"

// eachNeeds are the needs of the flags that only idem each has.
var eachNeeds = []need{
	{"csv", []string{"key-field"}},
	{"tsv", []string{"key-field"}},
	{"jsonl", []string{"key-field"}},
	{"key-field", []string{"csv", "tsv", "jsonl"}},
	{"kill-running", []string{"fail-fast", "max-failures", "stop-on"}},
	{"events-skipped", []string{"events", "events-fd"}},
	{"item-hooks", []string{"hook"}},
	{"window", []string{"in"}},
}

// checkPairs refuses flags that cannot be combined.
func (o *eachOptions) checkPairs() error {
	for _, name := range notOfEach {
		if o.given(name) {
			return usage("idem each takes no --%s", name)
		}
	}
	if err := checkFlagPairs(o.flagSet, o.given, eachNeeds, eachClashes, o); err != nil {
		return err
	}
	if o.limit < 0 {
		return usage("--limit requires a number of at least 0")
	}
	for _, h := range o.hooks.list {
		if !o.itemHooks && slices.Contains(h.Events, "start") {
			return usage("--hook start=CMD requires --item-hooks").detail("without it, hooks run once, at the end of the call")
		}
	}
	return o.runOptions.checkPairs()
}
