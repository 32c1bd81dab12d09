package batch

// set is a set of 64-bit hashes. It needs 11 to 22 bytes for each, and 50 % more while it
// grows. The zero set is empty.
type set struct {
	table []uint64 // open addressing; 0 is a free place
	n     int
}

// add adds h and reports whether the set had it before.
func (s *set) add(h uint64) bool {
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

func (s *set) grow() {
	larger := make([]uint64, max(1<<10, 2*len(s.table)))
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
