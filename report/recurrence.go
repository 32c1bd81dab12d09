package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"idem/hashkey"
	"idem/jobs"
	"idem/ledger"
)

// recurrence is when a job with windows ran, also before the range of the report. Without that,
// a job that has stopped would not be late on a page of few days.
type recurrence struct {
	job    jobs.Lane
	last   time.Time
	good   bool      // it has succeeded
	runs   int       // of different records
	starts []int64   // the latest ones in seconds, at most twice maxStarts, in no order
	record ledger.ID // of the run that was noted last
	windows
}

// maxStarts is how many starts of a job are kept to find its usual gaps.
const maxStarts = 512

type jobName struct{ namespace, name string }

// recur notes a run of a job with windows. A job whose windows get another length is a new one.
func (c *collector) recur(run jobs.Run) {
	if run.Job.Per == "" || run.Inner {
		return
	}
	r := c.recurring[run.Job]
	if r == nil {
		if len(c.recurring) == jobs.MaxLanes {
			return
		}
		r = &recurrence{job: run.Job}
		c.recurring[run.Job] = r
	}
	r.add(run)
	if run.Result == jobs.Marked {
		return
	}
	r.good = r.good || run.Result == jobs.Succeeded
	if !run.Start.Before(r.last) {
		r.last = run.Start
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

// retired reports whether a job is no longer used.
func (r *recurrence) retired(now, since time.Time) bool {
	return r.last.Before(since) && now.Sub(r.last) > max(retiredAfter, 4*lengthOf(r.job.Per))
}

// late reports whether a job had no run for two windows and for half a window more than its
// usual gap. It needs three runs to see that.
func (r *recurrence) late(now time.Time) bool {
	length := lengthOf(r.job.Per)
	idle := now.Sub(r.last)
	return length > 0 && r.runs >= 3 && idle >= 2*length && idle >= r.usualGap()+length/2
}

// idle returns why a job needs attention. A job that is late comes before one that runs again.
func (c *collector) idle(r *recurrence, now time.Time) (one concern, ok bool) {
	running := c.Until.IsZero() // without that, the runs after the range are not known
	if !r.good || running && r.retired(now, c.Since) {
		return one, false
	}
	one = concern{order: 4, Concern: Concern{State: retry, Name: c.Text(r.job.Name), Space: c.Text(r.job.Namespace), Since: r.last}}
	missed := r.missed(r.job.Per, now, c.Since, running)
	from, why := r.last, "no run "+missed.preposition()+" "+missed.String()
	if len(missed.list) > 0 {
		from = missed.numbers.Start(missed.list[0])
	}
	if running && r.late(now) {
		one.order, why = 3, fmt.Sprintf("no run for %s; it ", durationText(now.Sub(r.last)))
		if len(missed.list) > 0 {
			why += "missed " + missed.String()
		} else {
			why += fmt.Sprintf("has a window for each %s", r.job.Per)
		}
	} else if len(missed.list) == 0 {
		return one, false
	}
	one.Why, one.Commands = why, []Command{{"its runs around that time", c.Command(r.pattern(), "list", "--since", r.before(from))}}
	return one, true
}

// pattern returns the argument of idem list for a job.
func (r *recurrence) pattern() ledger.ID {
	name := r.job.Name
	if !r.job.Pattern {
		name = literal.Replace(name)
	}
	return ledger.ID{Namespace: r.job.Namespace, Key: name}
}

// literal makes a pattern that matches only its own text.
var literal = strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]")

// before returns a time one window before another one, for --since.
func (r *recurrence) before(t time.Time) string {
	length := lengthOf(r.job.Per)
	t = t.Add(-length).UTC()
	if length < 24*time.Hour {
		return t.Format(time.RFC3339)
	}
	return t.Format(time.DateOnly)
}

// idleJobs returns the jobs that did not run, and counts them in their lanes.
func (c *collector) idleJobs(r *Report) (list []concern) {
	lanes := map[jobName]*Lane{}
	for i := range r.Lanes {
		lanes[jobName{r.Lanes[i].Namespace, r.Lanes[i].Name}] = &r.Lanes[i]
	}
	latest := map[jobName]*recurrence{} // of all lengths of windows
	for _, one := range c.recurring {
		name := jobName{one.job.Namespace, one.job.Name}
		if was := latest[name]; was == nil || cmp.Or(one.last.Compare(was.last), cmp.Compare(one.job.Per, was.job.Per)) > 0 {
			latest[name] = one
		}
	}
	for _, job := range latest {
		one, ok := c.idle(job, r.Made)
		if !ok {
			continue
		}
		if l := lanes[jobName{one.Space, one.Name}]; l != nil {
			l.Concerns++
		}
		list = append(list, one)
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
