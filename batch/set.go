package batch

import (
	"hash/maphash"
	"math/bits"
	"runtime"
	"runtime/debug"
	"sync"
)

// set is a set of 64-bit hashes. It needs 11 to 16 bytes for each. The zero set is empty.
type set struct {
	parts [16]hashes // by the first bits; each grows alone, so little is copied at a time
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

func (s *set) has(h uint64) bool { return s.parts[h>>60].has(h) }

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

func (s *hashes) has(h uint64) bool {
	h = max(h, 1)
	return len(s.table) > 0 && s.table[find(s.table, h)] == h
}

func (s *hashes) grow() {
	larger := make([]uint64, max(1<<6, len(s.table)*3/2))
	for _, h := range s.table {
		if h != 0 {
			insert(larger, h)
		}
	}
	s.table = larger
}

// insert puts h into a table that has a free place. It reports whether h is new there.
func insert(table []uint64, h uint64) bool {
	at := find(table, h)
	isNew := table[at] == 0
	table[at] = h
	return isNew
}

// find returns the place of h in a table, or the free place where it belongs.
func find(table []uint64, h uint64) int {
	first, _ := bits.Mul64(h<<4, uint64(len(table))) // the first bits are the same in the whole table
	at := int(first)
	for table[at] != 0 && table[at] != h {
		if at++; at == len(table) {
			at = 0
		}
	}
	return at
}

// garbage is about the whole process, as debug.SetGCPercent is.
var garbage collections

// collections sets how often garbage is collected. The garbage between two collections takes
// about the same memory, however large the tables and the held output of a batch are. These
// have no pointers, so a collection takes no longer with them.
type collections struct {
	mu     sync.Mutex
	tables int // bytes
}

const (
	// fewCollections is the percentage by which the memory of a batch without them grows
	// between two collections. Such a batch needs about smallHeap, and each of its items
	// leaves much garbage.
	fewCollections = 200
	smallHeap      = 4 << 20
)

// add says that these need more memory, or less.
func (c *collections) add(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables += bytes
	if bytes < 0 { // the percentage is of the memory that the latest collection has left
		runtime.GC()
	}
	debug.SetGCPercent(max(1, fewCollections*smallHeap/(smallHeap+c.tables)))
}

// remember adds h to a set and reports whether the set had it before.
func (c *collections) remember(s *set, h uint64) bool {
	before := s.bytes
	had := s.add(h)
	if s.bytes != before {
		c.add(s.bytes - before)
	}
	return had
}

// Seen knows the items of a list by 64-bit hashes. With a probability of 1 in 37 million, two of
// a million items have the same hash. The second one then counts as a duplicate.
type Seen struct {
	seed        maphash.Seed
	keys, whole set
}

// NewSeen returns a Seen that knows no item.
func NewSeen() *Seen { return &Seen{seed: maphash.MakeSeed()} }

// Add adds an item. It reports whether the key was there before, and whether it was then with
// the same fingerprint.
func (s *Seen) Add(e Entry) (before, same bool) {
	key := maphash.String(s.seed, e.ID.Key)
	whole := maphash.Comparable(s.seed, [2]string{e.ID.Key, e.Fingerprint})
	if garbage.remember(&s.keys, key) {
		return true, s.whole.has(whole)
	}
	garbage.remember(&s.whole, whole)
	return false, false
}
