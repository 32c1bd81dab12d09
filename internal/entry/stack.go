package entry

// The main goroutine's stack grows once, to the size that SQLite needs, before other
// packages are initialised. Otherwise it would double step by step, at last deep inside
// SQLite. For each step, the runtime looks up every frame in tables that are not in memory
// yet, and allocates stacks of one more size.
func init() { growStack(false) }

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
