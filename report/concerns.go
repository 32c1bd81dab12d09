package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"idem/hashkey"
)

// slowFactor is how many times the median an attempt runs until it is a concern.
const slowFactor = 3

// concern is a concern before its commands are known. order sorts the kinds.
type concern struct {
	Concern
	key   *record
	order int
}

// findConcerns fills in what needs attention: interrupted keys, oldest first; attempts that
// run for long; failed keys, newest first; jobs that did not run. A failure is overcome when
// the same key succeeded in a later window. Failures before the range are only counted.
// Jobs that are late come before those that run again after windows without a run.
func (c *collector) findConcerns(ctx context.Context, r *Report) {
	var all, overcome []concern
	for i := range c.list {
		k := &c.list[i]
		if k.current == nil {
			continue
		}
		one, ok := c.concernOf(k, r.Made, r.Lanes[k.lane].Median)
		switch {
		case !ok:
		case k.failed() && c.overcome(k):
			overcome = append(overcome, one)
		default:
			r.Lanes[k.lane].Concerns++
			all = append(all, one)
		}
	}
	for i := range c.before {
		k := &c.before[i]
		switch one, ok := c.concernOf(k, r.Made, 1); {
		case ok && k.open():
			if k.state == running {
				one.Why = "it is still running"
			}
			all = append(all, one)
		case k.failed() && !c.overcome(k):
			r.FailedBefore++
		}
	}
	all = append(all, c.idleJobs(r)...)
	r.Concerns, r.Hidden = c.listed(ctx, all)
	r.Overcome, r.OvercomeHidden = c.listed(ctx, overcome)
	r.Hidden += c.forgotten
}

// concernOf returns why a key needs attention. A running key does if it has run for long.
func (c *collector) concernOf(k *record, now time.Time, median time.Duration) (one concern, ok bool) {
	at := k.current
	one = concern{key: k, Concern: Concern{
		State: k.state, Since: at.started, Host: c.Text(at.host), Name: c.Text(k.id.Key), Window: c.Text(k.id.Window), Space: c.Text(k.id.Namespace),
	}}
	switch k.state {
	case interrupted:
		one.Why = c.unknownOutcome(at)
	case running:
		took := now.Sub(at.started)
		one.order, one.Why = 1, fmt.Sprintf("it has run for %s; the median is %s", durationText(took), durationText(median))
		return one, median > 0 && took >= slowFactor*median
	case failed, timeout:
		one.order, one.Why = 2, failureText(at, k.state)
	default:
		return one, false
	}
	return one, true
}

// listed sorts concerns, and returns the first ones with their commands and how many follow.
func (c *collector) listed(ctx context.Context, all []concern) (list []Concern, hidden int) {
	slices.SortStableFunc(all, func(a, b concern) int {
		if a.order != b.order || a.order < 2 {
			return cmp.Or(a.order-b.order, a.Since.Compare(b.Since))
		}
		return b.Since.Compare(a.Since)
	})
	for i, one := range all {
		if i == maxConcerns {
			return list, len(all) - i
		}
		if one.key != nil {
			one.Commands, one.Tail = c.commands(one.key.id, one.key.state), c.tail(ctx, *one.key)
		}
		list = append(list, one.Concern)
	}
	return list, 0
}

// unknownOutcome says why the outcome of an interrupted key is not known.
func (c *collector) unknownOutcome(at *current) string {
	if l := at.silent; l != nil {
		return fmt.Sprintf("its outcome is unknown: %s has not been heard of for %s, and its command may still run there; look there first",
			c.Text(cmp.Or(l.Host, "its host")), durationText(l.Silent))
	}
	return "its outcome is unknown: idem or the host stopped while it ran"
}

// failureText says how an attempt failed.
func failureText(at *current, state State) string {
	switch {
	case state == timeout:
		return fmt.Sprintf("its time limit ended it after %s", durationText(at.ended.Sub(at.started)))
	case at.number == 0:
		return "marked as failed"
	case at.signal != 0:
		return fmt.Sprintf("it died of signal %d after %s", at.signal, durationText(at.ended.Sub(at.started)))
	}
	return fmt.Sprintf("it exited with status %d after %s", at.exit, durationText(at.ended.Sub(at.started)))
}

// lengthOf returns about how long windows are, 0 for those of a boot.
func lengthOf(per hashkey.Per) time.Duration {
	const day = 24 * time.Hour
	switch per {
	case hashkey.PerHour:
		return time.Hour
	case hashkey.PerDay:
		return day
	case hashkey.PerWeek:
		return 7 * day
	case hashkey.PerMonth:
		return 31 * day
	case hashkey.PerQuarter:
		return 92 * day
	case hashkey.PerYear:
		return 366 * day
	}
	d, _ := time.ParseDuration(string(per)) // 15m or 6h; 0 for a boot and without a window
	return d
}
