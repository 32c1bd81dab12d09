package batch

import (
	"runtime/debug"
	"sync"
)

// set is a set of 64-bit hashes. It needs 11 to 22 bytes for each. The zero set is empty.
type set struct {
	parts [16]hashes // by the first bits, so that little is copied at a time
	bytes int        // of memory
}

// add adds h and reports whether the set had it before.
func (s *set) add(h uint64) bool {
	part := &s.parts[h>>60]
	before := len(part.table)
	had := part.add(h)
	s.bytes += 8 * (len(part.table) - before)
	return had
}

// hashes is a set with open addressing. 0 is a free place.
type hashes struct {
	table []uint64
	n     int
}

func (s *hashes) add(h uint64) bool {
	h = max(h, 1)
	if 4*(s.n+1) > 3*len(s.table) {
		s.grow()
	}
	if !insert(s.table, h) {
		return true
	}
	s.n++
	return false
}

func (s *hashes) grow() {
	larger := make([]uint64, max(1<<6, 2*len(s.table)))
	for _, h := range s.table {
		if h != 0 {
			insert(larger, h)
		}
	}
	s.table = larger
}

// insert puts h into a table that has a free place. It reports whether h is new there.
func insert(table []uint64, h uint64) bool {
	mask := uint64(len(table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch table[i] {
		case 0:
			table[i] = h
			return true
		case h:
			return false
		}
	}
}

// collections sets how often garbage is collected. The garbage between two collections takes
// about the same memory, however large the tables of a batch are. These have no pointers, so
// a collection takes no longer with them.
type collections struct {
	mu     sync.Mutex
	tables int // bytes
}

const (
	// fewCollections is the percentage by which the memory of a batch without tables grows
	// between two collections. Such a batch needs about smallHeap, and each of its items
	// leaves much garbage.
	fewCollections = 200
	smallHeap      = 4 << 20
)

// add says that the tables need more memory, or less.
func (c *collections) add(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables += bytes
	debug.SetGCPercent(max(1, fewCollections*smallHeap/(smallHeap+c.tables)))
}
