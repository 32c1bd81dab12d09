package proc

// ring is a queue of bytes in one buffer. Its free and used parts are returned as
// slices: the pump reads into the free part, and the tee writes from the used part.
// One goroutine fills the ring and one drains it. The tee's mutex guards the indices.
// The bytes need no guard.
type ring struct {
	buf  []byte
	r, w int
	end  int // > 0: the used part is buf[r:end] and then buf[:w]
}

// used returns the oldest contiguous bytes.
func (b *ring) used() []byte {
	if b.end > 0 {
		return b.buf[b.r:b.end]
	}
	return b.buf[b.r:b.w]
}

// drop removes the n oldest bytes. It never changes w, because the filling side may
// hold a slice that begins there.
func (b *ring) drop(n int) {
	b.r += n
	if b.end > 0 && b.r == b.end {
		b.r, b.end = 0, 0
	}
}

// free returns contiguous room, or nil if there is too little room for an efficient
// read.
func (b *ring) free() []byte {
	least := len(b.buf) / 16
	if b.end > 0 {
		if b.r-b.w < least {
			return nil
		}
		return b.buf[b.w:b.r]
	}
	if b.r == b.w {
		b.r, b.w = 0, 0 // reuse the memory that is in the CPU cache
	}
	if len(b.buf)-b.w >= least && len(b.buf) > b.w {
		return b.buf[b.w:]
	}
	if b.r >= least && b.r > 0 {
		b.end, b.w = b.w, 0
		return b.buf[:b.r]
	}
	return nil
}

// add marks the first n free bytes as used.
func (b *ring) add(n int) { b.w += n }

// grow moves the content to a larger buffer. The draining side may hold a slice of
// the old buffer. It stays valid, and drop still counts from the oldest byte.
func (b *ring) grow(size int) {
	buf := make([]byte, size)
	n := copy(buf, b.used())
	if b.end > 0 {
		n += copy(buf[n:], b.buf[:b.w])
	}
	b.buf, b.r, b.w, b.end = buf, 0, n, 0
}
