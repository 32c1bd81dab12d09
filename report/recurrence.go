package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"idem/hashkey"
	"idem/jobs"
	"idem/ledger"
)

// recurrence is when a job with windows ran, also before the range of the report. Without that,
// a job that has stopped would not be late on a page of few days.
type recurrence struct {
	job    jobs.Lane // Per is that of the latest run
	last   time.Time
	good   bool      // it has succeeded
	runs   int       // of different records
	starts []int64   // the latest ones in seconds, at most twice maxStarts, in no order
	record ledger.ID // of the run that was noted last
}

// maxStarts is how many starts of a job are kept to find its usual gaps.
const maxStarts = 512

type jobName struct{ namespace, name string }

// recur notes a run of a job with windows.
func (c *collector) recur(run jobs.Run) {
	if run.Job.Per == "" || run.Inner || run.Result == jobs.Marked {
		return
	}
	name := jobName{run.Job.Namespace, run.Job.Name}
	r := c.recurring[name]
	if r == nil {
		if len(c.recurring) == jobs.MaxLanes {
			return
		}
		r = &recurrence{}
		c.recurring[name] = r
	}
	r.good = r.good || run.Result == jobs.Succeeded
	if !run.Start.Before(r.last) {
		r.last, r.job = run.Start, run.Job
	}
	if r.record == run.ID { // the attempts of a record follow each other
		return
	}
	r.record = run.ID
	r.runs++
	r.starts = append(r.starts, run.Start.Unix())
	if len(r.starts) == 2*maxStarts {
		slices.Sort(r.starts)
		r.starts = slices.Delete(r.starts, 0, maxStarts)
	}
}

// usualGap returns the longest time between two runs that has occurred twice, such as that of
// the weekends of a job that runs from Monday to Friday. One gap alone may be a failure.
func (r *recurrence) usualGap() time.Duration {
	slices.Sort(r.starts)
	longest, second := int64(0), int64(0)
	for i := 1; i < len(r.starts); i++ {
		gap := r.starts[i] - r.starts[i-1]
		longest, second = max(longest, gap), max(second, min(longest, gap))
	}
	return time.Duration(second) * time.Second
}

// retiredAfter is how long a job that ran before the range only is late; at least for four of
// its windows. After that, it is taken for one that is no longer used.
const retiredAfter = 90 * 24 * time.Hour

// late reports whether a job had no run for two windows and for half a window more than its
// usual gap. It needs three runs to see that.
func (r *recurrence) late(now, since time.Time) (bool, string) {
	length := lengthOf(r.job.Per)
	idle := now.Sub(r.last)
	switch {
	case length == 0 || r.runs < 3 || !r.good || idle < 2*length || idle < r.usualGap()+length/2:
		return false, ""
	case r.last.Before(since) && idle > max(retiredAfter, 4*length):
		return false, ""
	}
	return true, fmt.Sprintf("no run for %s; it has a window for each %s", durationText(idle), r.job.Per)
}

// lateJobs returns the jobs that did not run, and counts them in their lanes.
func (c *collector) lateJobs(r *Report) (list []concern) {
	if !c.Until.IsZero() {
		return nil
	}
	lanes := map[jobName]*Lane{}
	for i := range r.Lanes {
		lanes[jobName{r.Lanes[i].Namespace, r.Lanes[i].Name}] = &r.Lanes[i]
	}
	for _, one := range c.recurring {
		late, why := one.late(r.Made, c.Since)
		if !late {
			continue
		}
		name, space := c.Text(one.job.Name), c.Text(one.job.Namespace)
		if l := lanes[jobName{space, name}]; l != nil {
			l.Concerns++
		}
		list = append(list, concern{order: 3, Concern: Concern{State: retry, Name: name, Space: space, Why: why, Since: one.last}})
	}
	slices.SortFunc(list, func(a, b concern) int { // a map has no order
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// success is the latest window in which a key has succeeded. Windows of one length are in the
// order of their texts, except those of a boot.
type success struct {
	window string
	start  time.Time
}

// succeededAt notes a success of a key in a window.
func (c *collector) succeededAt(run jobs.Run) {
	if run.Result != jobs.Succeeded || run.Job.Per == "" {
		return
	}
	id := windowless{run.ID.Namespace, run.ID.Key, run.Job.Per}
	if was := c.good[id]; was.start.IsZero() || later(run.Job.Per, run.ID.Window, run.Start, was.window, was.start) {
		c.good[id] = success{run.ID.Window, run.Start}
	}
}

type windowless struct {
	namespace, key string
	per            hashkey.Per
}

// overcome reports whether a key that failed has succeeded in a later window.
func (c *collector) overcome(k *record) bool {
	if k.id.Window == "" {
		return false
	}
	per := hashkey.PerOf(k.id.Window)
	good, ok := c.good[windowless{k.id.Namespace, k.id.Key, per}]
	return ok && later(per, good.window, good.start, k.id.Window, k.current.started)
}

// later reports whether a window is after another one of the same length.
func later(per hashkey.Per, a string, aStart time.Time, b string, bStart time.Time) bool {
	if per == hashkey.PerBoot {
		return a != b && aStart.After(bStart)
	}
	return a > b
}
