package cmd

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/report"
)

const reportLong = `Write what happened as one HTML page, for a browser or a mail. The page needs no
other file, no server and no network, and can be read without JavaScript.

The page has first what needs attention: interrupted keys, failed keys without
a later success, attempts that run for long, and jobs that did not run. For each
key, it has the commands to paste. Then it has the jobs over time, their
durations, and the keys.

` + jobsLong + ` Steps and items
belong to the job of the key above them.

The page contains names of keys, times, results, hosts and notes. It contains
command lines and outputs only if you ask for them. The file has mode 0600, so a
web server of another user cannot read it. It replaces an older one at once and
as a whole.

A PATTERN selects keys as for idem list. A TIME is a duration back from now,
such as 36h or 7d, or a time as for idem list. Keys that have been interrupted
or running since before --since need attention too; failed ones are counted.

A job with windows is late if two windows passed without an attempt. The
pause must also exceed the second longest one so far by half a window, so a job
of working days is not late on Sunday. Runs before --since count for that. With
--until, no job is late.

A job missed a window of the page that has no attempt and no mark, if it usually
runs in such windows: in at least half of those on the same day of the week, and
for windows of less than a day also of those at the same time of day. A job with
a pause for fewer than four such runs misses none. Windows before the oldest
record of the job do not count, because idem gc may have forgotten them. A
window between two runs that idem forget has removed counts as missed.`

// reportDays is how many days a report covers without --since.
const reportDays = 90

type reportOptions struct {
	html, since, until, title string
	groupBy                   texts
	lines, maxRuns            int
	args                      bool
}

func (a *app) reportCommand() *cobra.Command {
	o := &reportOptions{}
	c := &cobra.Command{
		Use:   "report --html FILE [PATTERN...]",
		Short: "Write an HTML page about what happened",
		Long:  reportLong,
		Example: `  idem report --html report.html
  idem report --html ~/idem.html --since 30d --output-lines 5
  idem report --html - 'deploy:*' | mail -a 'Content-Type: text/html' ops`,
		RunE: func(c *cobra.Command, patterns []string) error { return a.report(c, o, patterns) },
	}
	f := c.Flags()
	f.StringVar(&o.html, "html", "", "write the page to `FILE`; - is stdout")
	f.StringVar(&o.since, "since", "", "include the attempts that began at `TIME` or later (default: 90d)")
	f.StringVar(&o.until, "until", "", "include the attempts that began before `TIME`")
	f.Var(&o.groupBy, "group-by", "make one job of the keys that match `PATTERN`; repeatable")
	f.IntVar(&o.lines, "output-lines", 0, fmt.Sprintf("include the last `N` lines of output of keys that did not succeed, at most %d", maxTail))
	f.BoolVar(&o.args, "with-args", false, "include command lines and the names of inputs, with known secrets masked")
	f.IntVar(&o.maxRuns, "max-runs", 200_000, "include at most `N` attempts; older ones are only counted, by day and job")
	f.StringVar(&o.title, "title", "", "give the page the title `TEXT`")
	namespaceFlag(f, &a.namespace, "include only keys in namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	return c
}

func (a *app) report(c *cobra.Command, o *reportOptions, patterns []string) error {
	selected, err := a.reportOptions(o, patterns)
	if err != nil {
		return err
	}
	if o.html != "-" {
		if err := checkReplaceable(o.html); err != nil {
			return fail(exitLedger, "--html: %v", err)
		}
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	readable, ok := l.(report.Ledger)
	if !ok {
		return usage("idem report can't read this ledger")
	}
	if o.html == "-" {
		a.warnNoLedger(c.Context(), l)
	} else if err := a.needLedger(c.Context(), l, o.html); err != nil {
		return err
	}
	selected.Tail = func(ctx context.Context, id ledger.ID, runID string, n int) ([]string, error) {
		return tailOf(ctx, l, id, runID, n)
	}
	page, err := report.Collect(c.Context(), readable, *selected)
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	page.Host, page.Version, page.Ledger = escape(host), version(), escape(publicURL(l.Place()))
	page.Title = escape(cmp.Or(o.title, strings.TrimSuffix("idem report: "+host, ": ")))
	if o.html == "-" {
		if err := page.Write(a.ui.stdout); err != nil {
			return fail(exitError, "stdout: %v", err)
		}
		return nil
	}
	var b bytes.Buffer
	if err := page.Write(&b); err != nil { // a part of a page must not replace a whole one
		return err
	}
	return replaceFile("--html", o.html, 0o600, b.Bytes())
}

// reportOptions checks the flags and arguments, and returns what they select.
func (a *app) reportOptions(o *reportOptions, patterns []string) (*report.Options, error) {
	now := a.now()
	switch {
	case o.html == "":
		return nil, usage("idem report requires --html").hintForm("idem report --html FILE [PATTERN...]")
	case o.lines < 0 || o.lines > maxTail:
		return nil, usage("--output-lines requires a number from 0 to %d", maxTail)
	case o.maxRuns < 1:
		return nil, usage("--max-runs requires a number of at least 1")
	case o.html == "-" && isTerminal(a.ui.stdout):
		return nil, usage("the page is not for a terminal").hint("name a file: --html report.html")
	}
	if o.html == "-" {
		if err := a.requireStdout(); err != nil {
			return nil, err
		}
	}
	if err := a.checkOnlyNamespace(); err != nil {
		return nil, err
	}
	globs, err := parseGlobs("pattern", patterns)
	if err != nil {
		return nil, err
	}
	groups, err := parseGlobs("--group-by", o.groupBy)
	if err != nil {
		return nil, err
	}
	selected := &report.Options{
		Now: now, MaxRuns: o.maxRuns, OutputLines: o.lines, Args: o.args, Text: escape, Inputs: reportInputs,
		Command: func(id ledger.ID, words ...string) string { return a.ui.ledgerPath().command(id, words...) },
	}
	selected.Namespace, selected.Globs, selected.GroupBy = a.namespace, globs, groups
	if selected.Since, selected.Until, err = parseSpan(o.since, o.until, now); err != nil {
		return nil, err
	}
	if selected.Since.IsZero() {
		end := now
		if !selected.Until.IsZero() {
			end = selected.Until
		}
		selected.Since = end.AddDate(0, 0, -reportDays)
	}
	return selected, checkBegun(selected.Since, now)
}

// reportInputs returns the command line of an attempt and the names of its other inputs, for
// a page.
func reportInputs(at ledger.Attempt) (command, others string) {
	in, err := hashkey.Decode(at.Inputs)
	if err != nil {
		return "", ""
	}
	var names []string
	for _, p := range in.Mask() {
		if p.Kind != hashkey.KindArg {
			names = append(names, escape(p.Name))
		}
	}
	return commandLine(in.Argv()), strings.Join(names, ", ")
}
