package main

import (
	"math"

	"idem/test/internal/rig"
)

// What is demanded of idem, as ratios to what ran beside it. None is a limit
// that a test asserts: they are for people to judge.
const (
	met    = "met"
	missed = "missed"
)

// printDemands says how each stands.
func (b *bench) demands() []demand {
	hit := func(beside string) float64 { return b.between("true", idem, replay, beside, first) }
	all := []demand{
		atMost("replay of true / Go hello-world", 2.4, hit(hello)),
		atMost("replay of true / flock FILE true", 1.7, hit(flocked)),
		atMost("replay among many keys / replay of an only key", 1.1, b.between(b.keysRace().name, manyKeys, replay, onlyKey, replay)),
		atMost("first run of true / flock FILE true", 3.2, b.between("true", idem, first, flocked, first)),
		count("fsyncs of a first run, small output", 3, b.counted("true", func(c counts) *int64 { return c.Syncs }), 1, ""),
		count("fsyncs of a first run, large output", 5, b.counted("100 MiB", func(c counts) *int64 { return c.Syncs }), 1, ""),
	}
	for _, size := range []string{"100 MiB", "1 GiB"} {
		all = append(all,
			atMost("first run of "+size+" / command | tee FILE", 1.2, b.between(size, idem, first, teed, first)),
			count("peak memory of a first run of "+size, 24, b.counted(size, func(c counts) *int64 { return c.PeakKB }), 1024, "MB"),
			atMost("replay of "+size+" into a pipe / cat", 0.3, b.between(size, idem, replay, catted, replay)))
	}
	return append(all, b.crowdDemands()...)
}

func (b *bench) crowdDemands() []demand {
	oneKey, many, spread := math.NaN(), math.NaN(), math.NaN()
	ours, all := findCrowd(b.crowds, idem, one), findCrowd(b.crowds, idem, first)
	if flocks := findCrowd(b.crowds, flocked, first); ours != nil && flocks != nil {
		oneKey = ours.beside(flocks)
	}
	if spawns := findCrowd(b.crowds, spawned, first); all != nil && spawns != nil {
		many = 1 / all.beside(spawns)
		spread = all.sum(b.callers).P99 / all.sum(b.callers).P50
	}
	return []demand{
		atMost("callers of one key at once, 50 ms command / as many flock FILE true", 1.3, oneKey),
		atMost("callers of distinct keys at once: p99 / p50", 2, spread),
		atLeast("callers of distinct keys at once: rate / rate of Go that starts it", 0.3, many),
	}
}

// between is the ratio of two at one work, NaN if it is not known.
func (b *bench) between(work, name, op, other, otherOp string) float64 {
	h := b.results[work]
	if h == nil {
		return math.NaN()
	}
	return ratio(h.samples(name, op), h.samples(other, otherOp), h.keep)
}

// counted is a count of idem's first run.
func (b *bench) counted(work string, of func(counts) *int64) *int64 {
	if f := b.result.figure(idem, work, first); f != nil {
		return of(f.counts)
	}
	return nil
}

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
