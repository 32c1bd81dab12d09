package proc

// ring is a queue of bytes in one buffer, whose free and used parts are handed
// out as slices: the pump reads straight into the one and the tee writes
// straight from the other. One goroutine fills and one drains; the indices are
// guarded by the tee's mutex, the bytes need no guard.
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

// drop removes the n oldest bytes. It never moves w: the filling side may hold
// a slice that begins there.
func (b *ring) drop(n int) {
	b.r += n
	if b.end > 0 && b.r == b.end {
		b.r, b.end = 0, 0
	}
}

// free returns contiguous room, or nil when there is too little to be worth a
// system call.
func (b *ring) free() []byte {
	least := len(b.buf) / 16
	if b.end > 0 {
		if b.r-b.w < least {
			return nil
		}
		return b.buf[b.w:b.r]
	}
	if b.r == b.w {
		b.r, b.w = 0, 0 // start over where the cache is warm
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

// add makes n bytes of the free part used.
func (b *ring) add(n int) { b.w += n }

// grow moves the content to a larger buffer. A slice of the old one that the
// draining side holds stays valid, and drop still counts from the oldest byte.
func (b *ring) grow(size int) {
	buf := make([]byte, size)
	n := copy(buf, b.used())
	if b.end > 0 {
		n += copy(buf[n:], b.buf[:b.w])
	}
	b.buf, b.r, b.w, b.end = buf, 0, n, 0
}
