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

// demands returns the demands on idem, each with its figure and verdict.
func (b *bench) demands() []demand {
	if b.work == sharedWork {
		return b.sharedDemands
	}
	hit := func(reference string) float64 { return b.ratio("true", idem, replay, reference, first) }
	all := []demand{
		atMost("replay of true / Go hello-world", 2.4, hit(hello)),
		atMost("replay of true / flock FILE true", 1.7, hit(flocked)),
		atMost("replay among many keys / replay of an only key", 1.1, b.ratio(b.keysRace().name, manyKeys, replay, onlyKey, replay)),
		atMost("first run of true / flock FILE true", 3.2, b.ratio("true", idem, first, flocked, first)),
		count("fsyncs of a first run, small output", 3, b.counted("true", func(c counts) *int64 { return c.Syncs }), 1, ""),
		count("fsyncs of a first run, large output", 5, b.counted("100 MiB", func(c counts) *int64 { return c.Syncs }), 1, ""),
	}
	for _, size := range []string{"100 MiB", "1 GiB"} {
		all = append(all,
			atMost("first run of "+size+" / command | tee FILE", 1, b.ratio(size, idem, first, teed, first)),
			count("peak memory of a first run of "+size, 24, b.counted(size, func(c counts) *int64 { return c.PeakKB }), 1024, "MB"),
			atMost("replay of "+size+" into a pipe / cat", 0.3, b.ratio(size, idem, replay, catted, replay)))
	}
	return slices.Concat(all, b.largeDemands(), b.crowdDemands(), b.batchDemands())
}

func (b *bench) crowdDemands() []demand {
	oneKey, rate, spread := math.NaN(), math.NaN(), math.NaN()
	sameKey, distinct := findCrowd(b.crowds, idem, one), findCrowd(b.crowds, idem, first)
	if flocks := findCrowd(b.crowds, flocked, first); sameKey != nil && flocks != nil {
		oneKey = sameKey.ratioTo(flocks)
	}
	if spawns := findCrowd(b.crowds, spawned, first); distinct != nil && spawns != nil {
		rate = 1 / distinct.ratioTo(spawns)
		spread = distinct.sum(b.callers).P99 / distinct.sum(b.callers).P50
	}
	return []demand{
		atMost("callers of one key at once, 50 ms command / as many flock FILE true", 1.3, oneKey),
		atMost("callers of distinct keys at once: p99 / p50", 2, spread),
		atLeast("callers of distinct keys at once: rate / rate of Go that starts it", 0.3, rate),
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

// counted returns a count of idem's first run, or nil if it is not known.
func (b *bench) counted(work string, of func(counts) *int64) *int64 {
	if f := b.result.figure(idem, work, first); f != nil {
		return of(f.counts)
	}
	return nil
}

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
