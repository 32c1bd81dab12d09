package jobs

// counts counts how often a hash occurred. It is a hash table with open addressing: a Go map
// would need four times the memory.
type counts struct {
	slots []count
	used  int
	mask  uint64
	limit int // of slots, a power of two
}

type count struct {
	hash uint64 // 0 for a free slot
	n    uint32
}

func (c *counts) find(hash uint64) *count {
	for at := mix(hash) & c.mask; ; at = (at + 1) & c.mask {
		if s := &c.slots[at]; s.hash == hash || s.hash == 0 {
			return s
		}
	}
}

// mix spreads the differences between hashes over all bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// add counts a hash, and returns how often it occurred.
func (c *counts) add(hash uint64) uint32 {
	hash = max(hash, 1)
	if c.used >= len(c.slots)*3/4 {
		c.grow()
	}
	s := c.find(hash)
	if s.hash == 0 {
		s.hash = hash
		c.used++
	}
	s.n++
	return s.n
}

// get returns how often a hash occurred.
func (c *counts) get(hash uint64) uint32 {
	if len(c.slots) == 0 {
		return 0
	}
	return c.find(max(hash, 1)).n
}

// grow makes room. A table that is as large as it may become loses what occurred least.
func (c *counts) grow() {
	was := c.slots
	size, least := max(1024, 2*len(was)), uint32(1)
	if size > c.limit {
		size = c.limit
		for used := c.used; used > size/2; {
			least *= 2
			used = 0
			for _, s := range was {
				if s.n >= least {
					used++
				}
			}
		}
	}
	c.slots, c.mask, c.used = make([]count, size), uint64(size-1), 0
	for _, s := range was {
		if s.n >= least {
			*c.find(s.hash) = s
			c.used++
		}
	}
}
