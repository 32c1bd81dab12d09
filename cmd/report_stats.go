package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// screenText returns the figures for a person. top is the number of jobs, 0 for all.
func (s stats) screenText(top, width int) string {
	var b strings.Builder
	s.headText(&b)
	list, other := s.Latest(cmp.Or(top, len(s.Lanes)))
	var foot []string
	if len(list) == top && top < len(s.Lanes) {
		foot = []string{s.partText(top), "(--top 0)"}
	}
	if other != nil {
		list = append(list, other)
	}
	if len(list) > 0 {
		b.WriteString("\n")
	}
	s.table(&b, list, width, foot...)
	return b.String()
}

// table writes a table of jobs.
func (s stats) table(to io.Writer, list []*jobs.Job, width int, foot ...string) {
	t := &screenTable{to: to, width: width, columns: s.columns()}
	for _, j := range list {
		_ = t.add(s.row(j)) // into memory, as all below
	}
	_ = t.flush()
	if len(foot) > 0 {
		_ = t.foot(foot...)
	}
}

// partText says that a table has n of the jobs.
func (s stats) partText(n int) string {
	return fmt.Sprintf("%s of %d", plural(n, s.by), len(s.Lanes))
}

// columns are the columns of the table of jobs.
func (s stats) columns() []column {
	return []column{
		{"RUNS", true, always},
		{"OK", true, always},
		{"FAILED", true, always},
		{"RETRIED", true, always},
		{"MEDIAN", true, always},
		{"P95", true, always},
		{"TREND", false, filled},
		{"LAST", true, always},
		{"NAMESPACE", false, several},
		{strings.ToUpper(s.by), false, always},
	}
}

// headText writes the figures of the whole ledger.
func (s stats) headText(b *strings.Builder) {
	line := func(name, text string) { fmt.Fprintf(b, "%-9s %s\n", name, text) }
	line("ledger", escape(s.place))
	if s.size >= 0 {
		line("size", sizeText(s.size)+", outputs "+sizeText(s.Stored))
	}
	keys := ledger.Tally{}
	for _, tally := range s.Keys {
		keys.Add(tally)
	}
	n := keys.Total()
	text := fmt.Sprint(n)
	if n > 0 {
		text += ": " + tallyText(keys)
	}
	line("keys", text)
	var runs []string
	all := s.total()
	for result, k := range all.Runs {
		if k > 0 && jobs.Result(result) != jobs.Marked {
			runs = append(runs, fmt.Sprintf("%d %s", k, jobs.Result(result)))
		}
	}
	text = fmt.Sprint(all.Attempts())
	if runs != nil {
		text += ": " + strings.Join(runs, ", ")
	}
	line("attempts", text)
	if n := all.Runs[jobs.Marked]; n > 0 {
		line("marks", fmt.Sprint(n))
	}
	if !s.Oldest.IsZero() {
		line("from", fmt.Sprintf("%s to %s", stamp(s.Oldest), stamp(s.Newest)))
	}
}

// total returns the sum of all jobs.
func (s stats) total() *jobs.Job {
	_, all := s.Latest(0)
	if all == nil {
		all = &jobs.Job{}
	}
	return all
}

// row returns the row of a job.
func (s stats) row(j *jobs.Job) screenRow {
	failed := failedRuns(j)
	ok := "-"
	if ended := j.Runs[jobs.Succeeded] + failed; ended > 0 { // rounded down: 100% is all of them
		ok = fmt.Sprintf("%d%%", 100*j.Runs[jobs.Succeeded]/ended)
	}
	last := "-"
	if !j.LastRun.IsZero() {
		last = ageText(s.now.Sub(j.LastRun))
	}
	return screenRow{texts: []string{
		fmt.Sprint(j.Attempts()), ok, fmt.Sprint(failed), fmt.Sprint(j.Retries), quantileText(j.Median), quantileText(j.P95),
		map[string]string{"slower": "↑ slower", "faster": "↓ faster"}[trendOf(j)], last,
		escape(j.Namespace), jobName(j),
	}}
}

// failedRuns returns the number of attempts that failed or whose outcome is unknown.
func failedRuns(j *jobs.Job) int {
	return j.Runs[jobs.Failed] + j.Runs[jobs.Timeout] + j.Runs[jobs.Interrupted]
}

// jobName returns the name of a job for a person.
func jobName(j *jobs.Job) string {
	if j.Name == "" {
		return "(others)"
	}
	return escape(j.Name)
}

func quantileText(d time.Duration) string {
	if d == jobs.Unknown {
		return "-"
	}
	return tookText(d)
}
