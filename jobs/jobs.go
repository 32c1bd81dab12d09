// Package jobs sums up the attempts of a ledger by job. A job is what a person thinks of as
// one: a key in all its windows, or all keys that follow a pattern. Steps and items belong
// to the job of the key above them. The package reads the ledger in one walk that needs
// little memory, also for millions of keys.
package jobs

import (
	"cmp"
	"slices"
	"time"

	"idem/hashkey"
	"idem/ledger"
)

// Lane identifies a job.
type Lane struct {
	Namespace string
	// Name is a key, or a pattern with * if Pattern is set. It is empty for the lane of all
	// jobs that have no lane, see MaxLanes.
	Name    string
	Pattern bool
	Per     hashkey.Per // the length of the windows of the key that was met first; empty without one
}

// Job has the figures of one job. Attempts inside of an attempt (Run.Inner) do not count.
type Job struct {
	Lane
	Runs     [len(Results)]int // by Result
	Retries  int               // attempts after the first one of a record, without marks
	Median   time.Duration     // of the attempts that succeeded; Unknown without any. See Durations
	P95      time.Duration
	LastRun  time.Time     // the start of the latest attempt; zero without any
	LastGood time.Time     // the end of the latest success
	LastTook time.Duration // of the attempt that ended last
	LastExit int           // of the attempt that ended last, Unknown if it is not recorded
	// Since is the start of the oldest attempt that is running; zero without any.
	Since time.Time

	durations Durations
	lastEnd   time.Time
}

// Attempts returns the number of attempts, without marks.
func (j *Job) Attempts() int {
	n := 0
	for result, runs := range j.Runs {
		if Result(result) != Marked {
			n += runs
		}
	}
	return n
}

// add counts a run. end is when it ended; zero if that is not known.
func (j *Job) add(r *Run, end time.Time) {
	if r.Inner {
		return
	}
	j.Runs[r.Result]++
	if r.Result == Marked {
		return
	}
	if r.Number > 1 {
		j.Retries++
	}
	if r.Start.After(j.LastRun) {
		j.LastRun = r.Start
	}
	if r.Result == Running && (j.Since.IsZero() || r.Start.Before(j.Since)) {
		j.Since = r.Start
	}
	if end.IsZero() {
		return
	}
	if !end.Before(j.lastEnd) {
		j.lastEnd, j.LastTook, j.LastExit = end, r.Took, r.Exit
	}
	if r.Result == Succeeded {
		j.durations.Add(r.Took)
		if end.After(j.LastGood) {
			j.LastGood = end
		}
	}
}

// merge adds the figures of another job.
func (j *Job) merge(o *Job) {
	for result, n := range o.Runs {
		j.Runs[result] += n
	}
	j.Retries += o.Retries
	if o.LastRun.After(j.LastRun) {
		j.LastRun = o.LastRun
	}
	if o.LastGood.After(j.LastGood) {
		j.LastGood = o.LastGood
	}
	if !o.Since.IsZero() && (j.Since.IsZero() || o.Since.Before(j.Since)) {
		j.Since = o.Since
	}
	if !o.lastEnd.IsZero() && !o.lastEnd.Before(j.lastEnd) {
		j.lastEnd, j.LastTook, j.LastExit = o.lastEnd, o.LastTook, o.LastExit
	}
}

// Summary is the result of a Walk.
type Summary struct {
	// Lanes has a lane for each job, in no order.
	Lanes []*Job
	// Keys counts the keys by namespace and phase, as idem list does: without steps and items.
	Keys map[string]ledger.Tally
	// Oldest and Newest are the first and the last start of an attempt or mark; zero without any.
	Oldest, Newest time.Time
	// Stored is the number of bytes that the recorded outputs take.
	Stored int64
	// Outside counts the attempts and marks that Options.Since and Until have left out.
	Outside int
}

// Latest returns the n jobs with the latest runs, the last one first. other sums up the further
// ones, without a name and without quantiles. It is nil if there are no further ones.
func (s *Summary) Latest(n int) (latest []*Job, other *Job) {
	return s.first(n, byLastRun)
}

// Watched is as Latest, but jobs with windows come first: a job that should recur and has
// stopped must not be displaced by jobs that run once.
func (s *Summary) Watched(n int) (watched []*Job, other *Job) {
	return s.first(n, func(a, b *Job) int {
		return cmp.Or(cmp.Compare(once(a), once(b)), byLastRun(a, b))
	})
}

func byLastRun(a, b *Job) int {
	return cmp.Or(b.LastRun.Compare(a.LastRun), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// first returns the first n jobs in an order, and the further ones as one job.
func (s *Summary) first(n int, order func(a, b *Job) int) (list []*Job, other *Job) {
	all := slices.Clone(s.Lanes)
	slices.SortFunc(all, func(a, b *Job) int { return cmp.Or(cmp.Compare(nameless(a), nameless(b)), order(a, b)) })
	if last := len(all) - 1; len(all) <= n && (last < 0 || nameless(all[last]) == 0) {
		return all, nil
	}
	n = min(n, len(all)-1)
	other = newJob(Lane{})
	for _, j := range all[n:] {
		other.merge(j)
	}
	return all[:n], other
}

// nameless returns 1 for the job without a lane, else 0.
func nameless(j *Job) int {
	if j.Name == "" {
		return 1
	}
	return 0
}

// once returns 1 for a job without windows, else 0.
func once(j *Job) int {
	if j.Per == "" {
		return 1
	}
	return 0
}

func newJob(lane Lane) *Job {
	return &Job{Lane: lane, Median: Unknown, P95: Unknown, LastTook: Unknown, LastExit: Unknown}
}
