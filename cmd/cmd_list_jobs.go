package cmd

import (
	"cmp"
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
	limit := cmp.Or(o.limit, len(sum.Lanes))
	list, other := sum.Latest(limit)
	if other != nil && limit >= len(sum.Lanes) { // the job without a lane
		list = append(list, other)
	}
	switch {
	case o.json, o.jsonl:
		views := []jobView{}
		for _, j := range list {
			views = append(views, viewJob(j))
		}
		return printViews(a, views, o.jsonl)
	case isTerminal(a.ui.stdout):
		var b strings.Builder
		s := stats{Summary: sum, by: "job", now: a.now()}
		foot := plural(len(list), s.by)
		if len(list) < len(sum.Lanes) {
			foot = s.partText(len(list))
		}
		s.table(&b, list, widthOf(a.ui.stdout), foot)
		return a.printPage(b.String())
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
