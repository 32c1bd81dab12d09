package cmd

// growStack makes room on the goroutine's stack for what SQLite needs, once
// and while the stack is shallow. Left alone, the stack doubles four times deep
// inside of SQLite, and each time the runtime looks up every frame in tables
// that are not in memory yet: 7 % of the time of a replay, measured.
//
//go:noinline
func growStack(touch bool) byte {
	if touch { // never: the frame counts, not what is done with it
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
