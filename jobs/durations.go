package jobs

import (
	"math"
	"slices"
	"time"
)

const (
	// exactDurations is the number of durations up to which quantiles are exact.
	exactDurations = 128
	// binRatio is the ratio of the ends of a bin.
	binRatio = 1.04
	// bins is the number of bins: the last one begins at about 300 years.
	bins = 1250
)

// Durations are the durations of the attempts of a job. Their quantiles are exact for up to
// 128 durations. With more, they differ from the exact ones by less than 2 %, or by a
// microsecond. It needs at most 5 KB of memory, however many there are.
type Durations struct {
	exact []time.Duration
	bins  []uint32 // by the logarithm, as soon as there are too many
	n     int
}

// Add adds a duration.
func (d *Durations) Add(took time.Duration) {
	d.n++
	if d.bins == nil && len(d.exact) < exactDurations {
		d.exact = append(d.exact, took)
		return
	}
	if d.bins == nil {
		d.bins = make([]uint32, bins)
		for _, one := range d.exact {
			d.bins[binOf(one)]++
		}
		d.exact = nil
	}
	d.bins[binOf(took)]++
}

// binOf returns the bin of a duration. Bin 0 has those below a microsecond.
func binOf(d time.Duration) int {
	us := float64(d) / float64(time.Microsecond)
	if us < 1 {
		return 0
	}
	return min(bins-1, 1+int(math.Log(us)/math.Log(binRatio)))
}

// Quantile returns the least duration that at least a share q of all, from 0 to 1, does not
// exceed. It returns Unknown without any duration.
func (d *Durations) Quantile(q float64) time.Duration {
	if d.n == 0 {
		return Unknown
	}
	rank := max(1, int(math.Ceil(q*float64(d.n)))) // from 1
	if d.bins == nil {
		slices.Sort(d.exact)
		return d.exact[min(rank, d.n)-1]
	}
	seen := 0
	for i, n := range d.bins {
		if seen += int(n); seen >= rank {
			return middleOf(i)
		}
	}
	return middleOf(bins - 1)
}

// middleOf returns a duration that differs from each one in a bin by the same ratio.
func middleOf(bin int) time.Duration {
	if bin == 0 {
		return 0
	}
	return time.Duration(math.Pow(binRatio, float64(bin)-0.5) * float64(time.Microsecond))
}
