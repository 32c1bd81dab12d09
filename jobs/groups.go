package jobs

import (
	"context"
	"hash/fnv"
	"strings"

	"idem/ledger"
)

const (
	// groupSize is the number of keys without windows from which on a common pattern is a job.
	groupSize = 5
	// windowedGroupSize is that of keys with windows. Each of them recurs, so it usually is a
	// separate job. In a pattern, its failure or its stop could not be seen.
	windowedGroupSize = 100
	// maxCounts bounds the number of patterns that are counted, and the memory to 16 MB. It is
	// a power of two.
	maxCounts = 1 << 20
	// maxSegments is the number of segments of a key that a pattern may replace: the last ones.
	maxSegments = 8
)

// groups says which pattern the keys of a ledger share. A pattern replaces one segment of a
// key by a star. A segment ends at a colon or a slash. A key belongs to the pattern that most
// keys have in common, or that replaces the later segment, if groupSize keys have it. Keys with
// windows are counted separately, see windowedGroupSize.
//
// Patterns and keys are known by a hash of 64 bits. With more than about 700,000 patterns, those
// that occurred least so far are dropped. Then a pattern of few keys may be no job, and a
// key with many windows may count more than once.
type groups struct {
	by     ledger.Globs
	counts counts
	seen   counts
}

func newGroups(by ledger.Globs, limit int) *groups {
	return &groups{by: by, counts: counts{limit: limit}, seen: counts{limit: limit}}
}

// readGroups reads the keys of a ledger.
func readGroups(ctx context.Context, l ledger.Histories, o Options) (*groups, error) {
	g := newGroups(o.GroupBy, maxCounts)
	for id, err := range l.Keys(ctx, o.Namespace) {
		if err != nil {
			return nil, err
		}
		if o.Globs.Match(id.Key) {
			g.add(id)
		}
	}
	g.seen = counts{}
	return g, nil
}

// add counts the patterns of a key, once for all its windows.
func (g *groups) add(id ledger.ID) {
	if id.Window != "" && g.seen.add(hash(id.Namespace, id.Key)) > 1 {
		return
	}
	for from, to := range segments(id.Key) {
		g.counts.add(patternHash(id, from, to))
	}
}

// patternHash returns the hash of the pattern of a key with a star between two places. Keys
// with and without windows have different ones.
func patternHash(id ledger.ID, from, to int) uint64 {
	star := "*"
	if id.Window != "" {
		star = "*@"
	}
	return hash(id.Namespace, id.Key[:from], star, id.Key[to:])
}

// nameOf returns the name of the job of a key, and whether it is a pattern.
func (g *groups) nameOf(id ledger.ID) (string, bool) {
	for _, glob := range g.by {
		if glob.Match(id.Key) {
			return string(glob), string(glob) != id.Key
		}
	}
	best, name := uint32(groupSize-1), ""
	if id.Window != "" {
		best = windowedGroupSize - 1
	}
	for from, to := range segments(id.Key) { // from the last one
		if n := g.counts.get(patternHash(id, from, to)); n > best {
			best, name = n, id.Key[:from]+"*"+id.Key[to:]
		}
	}
	if name == "" {
		return id.Key, false
	}
	return name, true
}

// segments yields the ends of the segments of a key with several ones, the last segment
// first.
func segments(key string) func(yield func(from, to int) bool) {
	return func(yield func(from, to int) bool) {
		to := len(key)
		for n := 0; n < maxSegments; n++ {
			from := strings.LastIndexAny(key[:to], ":/") + 1
			if from == 0 && to == len(key) { // a pattern that every key without a separator has
				return
			}
			if from < to && !yield(from, to) || from == 0 {
				return
			}
			to = from - 1
		}
	}
}

// hash returns a hash of parts of a key. It is the same in each process, so the jobs are.
func hash(namespace string, parts ...string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(namespace)) // it returns no error
	for _, p := range parts {
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(p))
	}
	return h.Sum64()
}
