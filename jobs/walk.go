package jobs

import (
	"context"
	"time"

	"idem/hashkey"
	"idem/ledger"
)

// MaxLanes is the number of lanes that a walk makes. Further jobs share one without a name.
const MaxLanes = 10_000

// keptLanes of them are for patterns and for keys with windows: a key that runs once must not
// take the place of a job that recurs.
const keptLanes = 2000

// Options select what a walk reads.
type Options struct {
	Namespace string       // empty: all namespaces
	Globs     ledger.Globs // for the key, or for the key above a step or an item
	// Since and Until select runs by their start: not before Since, and before Until. They select
	// keys by their latest attempt or mark.
	Since, Until time.Time
	// Earlier is called with the runs before Since. They count in no figure. May be nil.
	Earlier func(Run)
	// GroupBy has patterns. A key belongs to the job of the first pattern that matches it. The
	// remaining keys are grouped as without it.
	GroupBy ledger.Globs
	// By returns another name for the lane of a run. Nil: the job.
	By func(Run) string
}

// Walk reads all attempts and sums them up. It calls each with every run that the options
// select, unless each is nil. The runs of a record follow each other, the oldest first.
func Walk(ctx context.Context, l ledger.Histories, o Options, each func(Run)) (*Summary, error) {
	w := &walk{Options: o, sum: &Summary{Keys: map[string]ledger.Tally{}}, lanes: map[laneKey]int{}}
	if o.By == nil {
		var err error
		if w.groups, err = readGroups(ctx, l, o); err != nil {
			return nil, err
		}
	}
	for e, err := range l.Histories(ctx, o.Namespace) {
		if err != nil {
			return nil, err
		}
		w.take(e, each)
	}
	for _, j := range w.sum.Lanes {
		j.Median, j.P95 = j.durations.Quantile(0.5), j.durations.Quantile(0.95)
	}
	return w.sum, nil
}

type laneKey struct{ namespace, name string }

type walk struct {
	Options
	groups *groups
	sum    *Summary
	lanes  map[laneKey]int
	other  int // the index of the lane without a name plus 1, 0 as long as there is none
}

// take counts one entry.
func (w *walk) take(e ledger.Entry, each func(Run)) {
	if !w.Globs.Match(e.Top.Key) {
		return
	}
	if rec := e.Record; rec != nil && rec.Parent == (ledger.ID{}) && w.covers(e.Attempt.Started) {
		tally := w.sum.Keys[e.ID.Namespace]
		if tally == nil {
			tally = ledger.Tally{}
			w.sum.Keys[e.ID.Namespace] = tally
		}
		tally[rec.Phase()]++
	}
	if e.Attempt.State == ledger.Batch { // it describes a batch, and nothing ran
		return
	}
	if !w.covers(e.Attempt.Started) {
		w.sum.Outside++
		if w.Earlier != nil && e.Attempt.Started.Before(w.Since) {
			r := runOf(e)
			r.Job = w.jobOf(&r, e.Top)
			w.Earlier(r)
		}
		return
	}
	w.sum.Stored += e.Stored
	if s := w.sum; s.Oldest.IsZero() || e.Attempt.Started.Before(s.Oldest) {
		s.Oldest = e.Attempt.Started
	}
	if e.Attempt.Started.After(w.sum.Newest) {
		w.sum.Newest = e.Attempt.Started
	}
	r := runOf(e)
	r.Job = w.jobOf(&r, e.Top)
	r.Lane = w.lane(r.Job)
	w.sum.Lanes[r.Lane].add(&r, e.Attempt.Ended)
	if each != nil {
		each(r)
	}
}

// covers reports whether the options select a start.
func (w *walk) covers(start time.Time) bool {
	return (w.Since.IsZero() || !start.Before(w.Since)) && (w.Until.IsZero() || start.Before(w.Until))
}

// jobOf returns the job of a run.
func (w *walk) jobOf(r *Run, top ledger.ID) Lane {
	lane := Lane{Namespace: top.Namespace, Name: top.Key}
	if w.By != nil {
		lane = Lane{Name: w.By(*r)}
	} else {
		lane.Name, lane.Pattern = w.groups.nameOf(top)
		if top.Window != "" {
			lane.Per = hashkey.PerOf(top.Window)
		}
	}
	return lane
}

// lane returns the index of the lane of a job.
func (w *walk) lane(lane Lane) int {
	key := laneKey{lane.Namespace, lane.Name}
	if i, ok := w.lanes[key]; ok {
		return i
	}
	limit := MaxLanes
	if w.By == nil && lane.Per == "" && !lane.Pattern {
		limit -= keptLanes
	}
	if len(w.lanes) >= limit {
		if w.other == 0 {
			w.other = w.add(Lane{}) + 1
		}
		return w.other - 1
	}
	i := w.add(lane)
	w.lanes[key] = i
	return i
}

func (w *walk) add(lane Lane) int {
	w.sum.Lanes = append(w.sum.Lanes, newJob(lane))
	return len(w.sum.Lanes) - 1
}
