package cmd

// growStack grows the goroutine's stack to the size that SQLite needs, once and while
// the stack is shallow. Otherwise the stack would double four times deep inside
// SQLite. For each doubling, the runtime looks up every frame in tables that are not
// in memory yet: 7 % of the time of a replay, measured.
//
//go:noinline
func growStack(touch bool) byte {
	if touch { // never true: only the size of the frame matters
		var frame [64 << 10]byte
		fill(frame[:])
		return frame[len(frame)/2]
	}
	return 0
}

//go:noinline
func fill(b []byte) {
	for i := range b {
		b[i]++
	}
}
