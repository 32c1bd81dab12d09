package main

import (
	"math"
	"slices"

	"idem/test/internal/rig"
)

// The verdicts on a demand. Most demands are ratios to another program in the same
// rounds. No test asserts them: people judge the result.
const (
	met    = "met"
	missed = "missed"
)

// demands returns the demands on idem, each with its figure and verdict, and with the
// figure of the earlier idem.
func (b *bench) demands() []demand {
	if b.work == sharedWork {
		return b.sharedDemands
	}
	all := b.demandsOn(now)
	if b.old == "" {
		return all
	}
	for i, d := range b.demandsOn(before) {
		if d.Verdict != rig.Unknown {
			all[i].Before = d.Figure
		}
	}
	return all
}

func (b *bench) demandsOn(a age) []demand {
	me := a.row(idem)
	hit := func(reference string) float64 { return b.ratio("true", me, replay, reference, first) }
	many := b.ratio(b.keysRace().name, a.row(manyKeys), replay, a.row(onlyKey), replay)
	all := []demand{
		atMost("replay of true / Go hello-world", 1.8, hit(hello)).aim(1.35),
		atMost("replay of true / flock FILE true", 1.6, hit(flocked)).aim(1.2),
		atMost("replay among many keys / replay of an only key", 1.05, many).aim(1),
		atMost("first run of true / flock FILE true", 4, b.ratio("true", me, first, flocked, first)).aim(3.2),
		count("fsyncs of a first run, small output", 3, b.syncsOf(me, "true"), 1, "").aim(2),
		count("fsyncs of a first run, large output", 5, b.syncsOf(me, "100 MiB"), 1, ""),
	}
	for _, size := range []string{"100 MiB", "1 GiB"} {
		peak := b.counted(me, size, func(c counts) *int64 { return c.PeakKB })
		all = append(all,
			atMost("first run of "+size+" / command | tee FILE", 1, b.ratio(size, me, first, teed, first)).aim(0.7),
			count("peak memory of a first run of "+size, 24, peak, 1024, "MB"),
			atMost("replay of "+size+" into a pipe / cat", 0.33, b.ratio(size, me, replay, catted, replay)).aim(0.15))
	}
	return slices.Concat(all, b.largeDemands(a), b.crowdDemands(a), b.batchDemands(a))
}

func (b *bench) crowdDemands(a age) []demand {
	oneKey, rate, spread := math.NaN(), math.NaN(), math.NaN()
	sameKey, distinct := findCrowd(b.crowds, a.row(idem), one), findCrowd(b.crowds, a.row(idem), first)
	if flocks := findCrowd(b.crowds, flocked, first); sameKey != nil && flocks != nil {
		oneKey = sameKey.ratioTo(flocks)
	}
	if spawns := findCrowd(b.crowds, spawned, first); distinct != nil && spawns != nil {
		rate = 1 / distinct.ratioTo(spawns)
		spread = distinct.sum(b.callers).P99 / distinct.sum(b.callers).P50
	}
	return []demand{
		atMost("callers of one key at once, 50 ms command / as many flock FILE true", 1.5, oneKey).aim(1),
		atMost("callers of distinct keys at once: p99 / p50", 2, spread),
		atLeast("callers of distinct keys at once: rate / rate of Go that starts it", 0.33, rate).aim(0.5),
	}
}

// ratio returns the ratio of two rows at one work, or NaN if it was not measured.
func (b *bench) ratio(work, name, op, other, otherOp string) float64 {
	h := b.results[work]
	if h == nil {
		return math.NaN()
	}
	return ratio(h.samples(name, op), h.samples(other, otherOp), h.keep)
}

// counted returns a count of the first run of a row, or nil if it is not known.
func (b *bench) counted(name, work string, of func(counts) *int64) *int64 {
	if f := b.result.figure(name, work, first); f != nil {
		return of(f.counts)
	}
	return nil
}

func (b *bench) syncsOf(name, work string) *int64 { return b.counted(name, work, syncsOf) }

// count returns the demand that n, divided by the size of the unit, is at most most.
func count(what string, most float64, n *int64, unit float64, name string) demand {
	f := math.NaN()
	if n != nil {
		f = float64(*n) / unit
	}
	d := atMost(what, most, f)
	d.Unit = name
	return d
}

func atMost(what string, most, figure float64) demand {
	return demand{What: what, Most: most, Figure: figure}.judge(figure <= most)
}

func atLeast(what string, least, figure float64) demand {
	return demand{What: what, Least: least, Figure: figure}.judge(figure >= least)
}

// aim returns d with its goal.
func (d demand) aim(goal float64) demand {
	d.Goal = goal
	return d
}

// reachesGoal reports whether the figure is as good as the goal.
func (d demand) reachesGoal() bool {
	if d.Least != 0 {
		return d.Figure >= d.Goal
	}
	return d.Figure <= d.Goal
}

// judge returns d with its verdict. JSON has no NaN, so an unknown figure becomes 0.
func (d demand) judge(ok bool) demand {
	switch {
	case math.IsNaN(d.Figure):
		d.Figure, d.Verdict = 0, rig.Unknown
	case ok:
		d.Verdict = met
	default:
		d.Verdict = missed
	}
	return d
}
