package cmd

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"idem/ledger"
)

type listOptions struct {
	underFlags
	glob    string
	since   string
	until   string
	limit   int
	items   bool
	null    bool
	json    bool
	jsonl   bool
	mutexes bool
	jobs    bool
	groupBy texts
	groups  ledger.Globs // groupBy
}

const listLong = `List the recorded keys, newest first, or those that match one of the patterns. A
run with steps or a batch with items is one line, which counts them by state.
--under lists the steps or items themselves. --state, --since and --until select
keys by their latest attempt or mark, or by that of a step or an item.
--running, --failed and --interrupted add a state to those of --state.

A pattern has * ? [...]; * matches any text, including / and :. Quote it for the
shell. A TIME is a duration back from now, such as 36h or 7d, or a time: RFC
3339, 2026-11-22, "2026-11-22 14:00" in the local zone, or @SECONDS since 1970.

On a terminal, the output is a table that fits its width. STATE has the exit
status if it is not 0, and the number of attempts if there are several. DONE
says how many of the steps or items have succeeded. A long key is shortened in
its middle. The last line counts the keys by state. NO_COLOR, CLICOLOR,
CLICOLOR_FORCE and TERM decide about colours as in other programs.

In a pipe, the output has one line per key and no header. Tabs separate the
fields: key, state, attempt, exit status, start, namespace, window and, for a
key with steps or items, their numbers. The states are running, interrupted,
succeeded, failed, batch for a key with items, and retry for a key that was
marked to run again.

With --under and --items, each line is an item as it was given to idem each, so
the list can be its input. Only items in exactly the state of --state are listed
then. For items that are fields of CSV or JSON, it is the value of the key
field.

With --jobs, each line is a job, as in idem stats. The fields are: job,
attempts, succeeded, failed, start of the latest attempt, median of the
durations, trend, namespace. The trend is slower, faster or steady: the duration
of the latest success against the median.

` + jobsLong + `

With --mutexes, the list has the calls that hold a mutex and those that wait for
one, sorted by mutex. The fields are: mutex, places taken and limit, state, key,
start of the state, user and process, namespace, window. The states are holds,
waits, and left for a mutex that only processes of an ended call hold.`

func (a *app) listCommand() *cobra.Command {
	o := &listOptions{}
	c := &cobra.Command{
		Use:   "list [PATTERN...]",
		Short: "List the recorded keys",
		Long:  listLong + recordLong + guessLong,
		Example: `  idem list --interrupted
  idem list 'deploy:*' 'cron:*' --since 1d --state failed,interrupted
  idem list 'deploy:prod:*' -n 5 --json
  idem list --under backfill --failed --items`,
		RunE: func(c *cobra.Command, patterns []string) error { return a.list(c, o, patterns) },
	}
	f := c.Flags()
	o.addTo(c, "list", ledger.PhaseRunning, ledger.PhaseInterrupted, ledger.PhaseSucceeded, ledger.PhaseFailed, ledger.PhaseRetry, ledger.PhaseBatch)
	o.record = newRecordFlags(c, nil, true)
	f.BoolVar(&o.items, "items", false, "print the items themselves, one on each line")
	f.BoolVarP(&o.null, "null", "0", false, "end each item with a NUL byte, not a newline")
	f.StringVar(&o.glob, "glob", "", "the same as the argument `PATTERN`")
	f.StringVar(&o.since, "since", "", "list only keys whose latest attempt or mark began at `TIME` or later")
	f.StringVar(&o.until, "until", "", "list only keys whose latest attempt or mark began before `TIME`")
	namespaceFlag(f, &a.namespace, "list only keys in namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	f.IntVarP(&o.limit, "limit", "n", 0, "list at most `N` keys (default: all)")
	f.BoolVar(&o.mutexes, "mutexes", false, "list the mutexes in use, with the calls that hold them or wait")
	f.BoolVar(&o.jobs, "jobs", false, "list the jobs of idem stats")
	f.Var(&o.groupBy, "group-by", "with --jobs, take all keys that match `PATTERN` for one job (may be repeated)")
	a.pagerFlag(f)
	f.BoolVar(&o.json, "json", false, "print a JSON array")
	f.BoolVar(&o.jsonl, "jsonl", false, "print the elements of the array, one on each line")
	return c
}

func (a *app) list(c *cobra.Command, o *listOptions, patterns []string) error {
	filter, err := a.listFilter(c, o, patterns)
	if err != nil {
		return err
	}
	frugal()
	ctx := c.Context()
	if o.under != "" {
		return a.listUnder(ctx, o, filter)
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	a.warnNoLedger(ctx, l)
	if o.mutexes {
		return a.listMutexes(ctx, l, o)
	}
	if o.jobs {
		return a.listJobs(ctx, l, o, filter)
	}
	out := newListWriter(&a.ui, a.page)
	return out.endWhole(a.writeList(out, l, collapsed(ctx, l, filter), o))
}

// listFilter checks the flags and arguments, and returns what they select.
func (a *app) listFilter(c *cobra.Command, o *listOptions, patterns []string) (ledger.Filter, error) {
	f := ledger.Filter{Namespace: a.namespace, Phases: o.phases(), Limit: o.limit, TopLevel: true}
	if o.limit < 0 {
		return f, usage("--limit requires a number of at least 0")
	}
	err := a.checkOnlyNamespace()
	if err != nil {
		return f, err
	}
	if err := o.checkPairs(c.Flags()); err != nil {
		return f, err
	}
	if o.mutexes && len(patterns) > 0 {
		return f, usage("--mutexes can't be combined with a pattern").detail("a pattern selects keys").hint("leave out one of them")
	}
	if f.Globs, err = parseGlobs("pattern", patterns); err != nil {
		return f, err
	}
	if o.glob != "" {
		globs, err := parseGlobs("--glob", []string{o.glob})
		if err != nil {
			return f, err
		}
		f.Globs = append(f.Globs, globs...)
	}
	if o.groups, err = parseGlobs("--group-by", o.groupBy); err != nil {
		return f, err
	}
	f.Since, f.Until, err = parseSpan(o.since, o.until, a.now())
	return f, err
}

// writeList writes records as a table for a person, or as lines or an array for a
// program.
func (a *app) writeList(w *listWriter, l ledger.Ledger, records iter.Seq2[listed, error], o *listOptions) error {
	switch {
	case o.json:
		return writeArray(w, views(l, records))
	case o.jsonl:
		return writeLines(w, views(l, records))
	case isTerminal(a.ui.stdout):
		return a.writeTable(flushing{w}, l, records, o)
	}
	return writeRows(w, records, painter(a.ui.stdout))
}

func writeRows(w io.Writer, records iter.Seq2[listed, error], paint func(string, ledger.Phase) string) error {
	for r, err := range records {
		if err != nil {
			return err
		}
		fields := []string{
			escape(r.ID.Key), paint(string(r.Phase()), r.Phase()), fmt.Sprint(r.Attempts), exitText(r.Current), startText(r.Current, stamp),
			escape(r.ID.Namespace), escape(r.ID.Window),
		}
		if text := r.belowText(); text != "" {
			fields = append(fields, text)
		}
		if _, err := fmt.Fprintln(w, strings.Join(fields, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// exitText returns the exit status of an attempt, "-" if it has none.
func exitText(a ledger.Attempt) string {
	if a.Ended.IsZero() || a.State == ledger.None || a.State == ledger.Batch {
		return "-"
	}
	return fmt.Sprint(a.ExitCode)
}

// startText returns the start of an attempt as text makes it, "-" without an attempt.
func startText(a ledger.Attempt, text func(time.Time) string) string {
	if a.Started.IsZero() {
		return "-"
	}
	return text(a.Started)
}

func (a *app) printJSON(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return a.print(string(b))
}
