package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// median returns the median of the values, or NaN without a value.
func median[T ~int64 | ~float64](values []T) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (float64(v[n/2-1]) + float64(v[n/2])) / 2
	}
	return float64(v[len(v)/2])
}

// quietRounds reports for each round whether it counts, by the rule of noise. The
// samples of each reference are by round.
func quietRounds(rounds int, references ...[]sample) ([]bool, noise) {
	unrest := make([]float64, rounds) // the greatest ratio of a reference's time to its least time
	for _, samples := range references {
		least := time.Duration(math.MaxInt64)
		for _, s := range samples {
			if s.wall > 0 {
				least = min(least, s.wall)
			}
		}
		for i, s := range samples {
			unrest[i] = max(unrest[i], float64(s.wall)/float64(least))
		}
	}
	keep := make([]bool, rounds)
	n := noise{Rounds: rounds, Dropped: rounds}
	for i, u := range unrest {
		if keep[i] = u <= 2; keep[i] {
			n.Dropped--
		}
	}
	third := (rounds + 2) / 3
	if rounds-n.Dropped >= third {
		return keep, n
	}
	order := make([]int, rounds)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(unrest[a], unrest[b]) })
	for _, i := range order[:third] {
		keep[i] = true
	}
	return keep, noise{Rounds: rounds, Dropped: rounds - third, Loud: true}
}

// ratio returns the median of the ratios of a to b, round by round. It uses the rounds
// that count and in which both took part.
func ratio(a, b []sample, keep []bool) float64 {
	var all []float64
	for i := range min(len(a), len(b)) {
		if keep[i] && a[i].wall > 0 && b[i].wall > 0 {
			all = append(all, float64(a[i].wall)/float64(b[i].wall))
		}
	}
	return median(all)
}

// figureOf sums up the samples of the rounds that count. If a slow racer took part in
// none of those rounds, it sums up all samples.
func figureOf(samples []sample, keep []bool) figure {
	var walls, cpus []float64
	for _, quiet := range []bool{true, false} {
		for i, s := range samples {
			if s.wall > 0 && (keep[i] || !quiet) {
				walls, cpus = append(walls, us(s.wall)), append(cpus, us(s.cpu))
			}
		}
		if len(walls) > 0 {
			break
		}
	}
	if len(walls) == 0 {
		return figure{}
	}
	return figure{N: len(walls), Median: median(walls), Min: slices.Min(walls), Max: slices.Max(walls), CPU: median(cpus)}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
