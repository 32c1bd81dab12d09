package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// The latest duration of a job counts as slower or faster if it differs from the median by this
// ratio, and by more than the noise.
const (
	trendRatio = 1.5
	trendNoise = 100 * time.Millisecond
)

// listJobs lists the jobs, the one with the latest attempt first.
func (a *app) listJobs(ctx context.Context, l ledger.Store, o *listOptions, f ledger.Filter) error {
	h, ok := l.(ledger.Histories)
	if !ok {
		return errors.New("this ledger cannot list jobs")
	}
	sum, err := jobs.Walk(ctx, h, jobs.Options{Namespace: f.Namespace, Globs: f.Globs, Since: f.Since, Until: f.Until, GroupBy: o.groups}, nil)
	if err != nil {
		return err
	}
	limit := o.limit
	if limit == 0 {
		limit = len(sum.Lanes) + 1
	}
	list, other := sum.Latest(limit)
	if other != nil && o.limit == 0 { // the job without a lane
		list = append(list, other)
	}
	switch {
	case o.json, o.jsonl:
		return a.printJobs(list, o.jsonl)
	case isTerminal(a.ui.stdout):
		s := stats{Summary: sum, by: "job", now: a.now()}
		return a.printPage(s.tableText(list, widthOf(a.ui.stdout)))
	}
	var b strings.Builder
	for _, j := range list {
		fmt.Fprintln(&b, strings.Join([]string{
			jobName(j), fmt.Sprint(j.Attempts()), fmt.Sprint(j.Runs[jobs.Succeeded]), fmt.Sprint(failedRuns(j)), timeOrDash(j.LastRun),
			quantileText(j.Median), trendOf(j), escape(j.Namespace),
		}, "\t"))
	}
	return a.print(b.String())
}

// printJobs prints jobs as an array, or one on each line.
func (a *app) printJobs(list []*jobs.Job, lines bool) error {
	views := []jobView{}
	for _, j := range list {
		views = append(views, viewJob(j))
	}
	if !lines {
		return a.printJSON(views)
	}
	var b strings.Builder
	for _, v := range views {
		text, err := marshalLine(v)
		if err != nil {
			return err
		}
		b.Write(text)
	}
	return a.print(b.String())
}

// tableText returns the table of jobs.
func (s stats) tableText(list []*jobs.Job, width int) string {
	var b strings.Builder
	t := &screenTable{to: &b, width: width, columns: s.columns()}
	for _, j := range list {
		_ = t.add(s.row(j)) // into memory
	}
	_ = t.flush()
	_ = t.foot(plural(len(list), "job"))
	return b.String()
}

// trendOf compares the latest duration of a job, if it was that of a success, with its median:
// slower, faster, steady, or "-" if it is not known.
func trendOf(j *jobs.Job) string {
	switch {
	case j.LastTook == jobs.Unknown || j.LastExit != 0 || j.Runs[jobs.Succeeded] < 3:
		return "-"
	case (j.LastTook - j.Median).Abs() < trendNoise:
	case float64(j.LastTook) > trendRatio*float64(j.Median):
		return "slower"
	case trendRatio*float64(j.LastTook) < float64(j.Median):
		return "faster"
	}
	return "steady"
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return stamp(t)
}
