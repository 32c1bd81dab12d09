package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"idem/jobs"
	"idem/ledger"
)

type statsOptions struct {
	since       string
	by          choice
	groupBy     texts
	top         int
	json        bool
	prometheus  bool
	openmetrics bool
	output      string
	maxJobs     int
}

const (
	defaultTop     = 10
	defaultMaxJobs = 200
)

// jobsLong says what a job is, for the help of all that list jobs.
const jobsLong = `A job is a key in all its windows. Five or more keys without windows that differ
in one part are one job, such as deploy:prod:*; a part ends at a colon or a
slash. Keys with windows are one job from 100 on, so a daily job that fails or
stops is seen. --group-by chooses other patterns.`

const statsLong = `Sum up the ledger: its keys by state, its attempts by result, and then a line
for each job, the one with the latest attempt first. With a PATTERN, sum up the
keys that match one of the patterns.

` + jobsLong + ` Steps and items
belong to the job of the key above them. An attempt of a step is a part of an
attempt of its run and is not counted; an attempt of an item is.

OK is the share of attempts that succeeded. A timeout counts as failed, and so
does an attempt with an unknown outcome. RETRIED counts the attempts after the
first one of a key. MEDIAN and P95 are durations of attempts that succeeded:
exact for up to 128 of them, else with an error of at most 2 %.

--prometheus writes the text format that the textfile collector of node_exporter
reads. Write it with --output, which replaces the file in one step:

  idem stats --prometheus --output /var/lib/node_exporter/idem.prom

The label job never has a window, a run or a host. 200 jobs have metrics: first
those with windows, then those with the latest attempts. The other ones are one
job "other" with an empty namespace. A replay and a refusal record nothing, so
no metric counts them.`

func (a *app) statsCommand() *cobra.Command {
	o := &statsOptions{by: choice{value: "job", of: []string{"job", "namespace", "host", "day"}}}
	c := &cobra.Command{
		Use:   "stats [PATTERN...]",
		Short: "Sum up keys and attempts, also as metrics",
		Long:  statsLong,
		Example: `  idem stats
  idem stats 'cron:*' --since 7d
  idem stats --by day --since 30d
  idem stats --json | jq '.jobs[] | select(.attempts.failed > 0)'`,
		RunE: func(c *cobra.Command, patterns []string) error { return a.stats(c, o, patterns) },
	}
	f := c.Flags()
	f.StringVar(&o.since, "since", "", "count only attempts that began at `TIME` or later, and keys whose latest one did")
	f.Var(&o.by, "by", "sum up by `WHAT`: job, namespace, host or day")
	f.Var(&o.groupBy, "group-by", "take all keys that match `PATTERN` for one job (may be repeated)")
	f.IntVar(&o.top, "top", defaultTop, "print the latest `N` jobs (0: all; with --json, the default is all)")
	f.BoolVar(&o.json, "json", false, "print a JSON object")
	f.BoolVar(&o.prometheus, "prometheus", false, "print metrics in the text format of Prometheus")
	f.BoolVar(&o.openmetrics, "openmetrics", false, "print metrics in the format OpenMetrics, which node_exporter cannot read")
	f.StringVar(&o.output, "output", "", "replace `FILE` in one step, readable for all users; after an error it is unchanged")
	f.IntVar(&o.maxJobs, "max-jobs", defaultMaxJobs, "have metrics of `N` jobs, those with windows first")
	namespaceFlag(f, &a.namespace, "sum up only keys in namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	return c
}

// metrics reports whether the result is metrics.
func (o *statsOptions) metrics() bool { return o.prometheus || o.openmetrics }

func (a *app) stats(c *cobra.Command, o *statsOptions, patterns []string) error {
	frugal()
	walk, err := a.statsWalk(c, o, patterns)
	if err != nil {
		return err
	}
	if o.json && !c.Flags().Changed("top") {
		o.top = 0
	}
	if o.output != "" {
		if err := checkReplaceable(o.output); err != nil {
			return fail(exitLedger, "--output: %v", err)
		}
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	if o.output == "" {
		a.warnNoLedger(c.Context(), l)
	} else if err := a.needLedger(c.Context(), l, o.output); err != nil {
		return err
	}
	text, err := a.statsText(c.Context(), l, o, walk)
	if err != nil {
		return err
	}
	if o.output == "" {
		return a.print(text)
	}
	return replaceFile("--output", o.output, 0o644, []byte(text))
}

// statsWalk checks the flags and arguments, and returns what they select.
func (a *app) statsWalk(c *cobra.Command, o *statsOptions, patterns []string) (jobs.Options, error) {
	walk := jobs.Options{Namespace: a.namespace}
	if err := checkFlagPairs(c.Flags(), c.Flags().Changed, statsNeeds, statsClashes, o); err != nil {
		return walk, err
	}
	switch {
	case o.top < 0:
		return walk, usage("--top requires a number of at least 0")
	case o.maxJobs < 1:
		return walk, usage("--max-jobs requires a number of at least 1")
	}
	err := a.checkOnlyNamespace()
	if err != nil {
		return walk, err
	}
	if walk.Globs, err = parseGlobs("pattern", patterns); err != nil {
		return walk, err
	}
	if walk.GroupBy, err = parseGlobs("--group-by", o.groupBy); err != nil {
		return walk, err
	}
	if walk.Since, _, err = parseSpan(o.since, "", a.now()); err != nil {
		return walk, err
	}
	if err := checkBegun(walk.Since, a.now()); err != nil {
		return walk, err
	}
	switch o.by.value {
	case "namespace":
		walk.By = func(r jobs.Run) string { return r.ID.Namespace }
	case "host":
		walk.By = func(r jobs.Run) string { return r.Host }
	case "day":
		if f := localFailure(); f != nil {
			return walk, f.hint("set TZ to a name of the tz database, such as Europe/Berlin")
		}
		walk.By = func(r jobs.Run) string { return r.Start.In(time.Local).Format(time.DateOnly) }
	}
	return walk, nil
}

// stats are the figures of a ledger.
type stats struct {
	*jobs.Summary
	place string
	size  int64 // of the ledger in bytes; negative if it is not known
	by    string
	now   time.Time
}

// statsText returns what idem stats prints.
func (a *app) statsText(ctx context.Context, l ledger.Store, o *statsOptions, walk jobs.Options) (string, error) {
	s := stats{Summary: &jobs.Summary{}, place: l.Place(), size: jobs.Unknown, by: o.by.value, now: a.now()}
	if h, ok := l.(ledger.Histories); ok {
		var err error
		if s.Summary, err = jobs.Walk(ctx, h, walk, nil); err != nil {
			return "", err
		}
	}
	if sized, ok := l.(ledger.Sized); ok {
		var err error
		if s.size, err = sized.Size(ctx); err != nil {
			return "", err
		}
	}
	switch {
	case o.metrics():
		return s.metricsText(o.maxJobs, o.openmetrics), nil
	case o.json:
		return s.jsonText(o.top)
	}
	width := noWidth
	if o.output == "" {
		width = a.textWidth()
	}
	return s.screenText(o.top, width), nil
}
