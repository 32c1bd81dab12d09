//go:build !linux || !(amd64 || arm64)

package rawsig

// Supported reports whether this package does anything on this platform.
const Supported = false

// Ignored returns the signals that this process was started to ignore.
func Ignored() Set { return 0 }

// Blocked returns the signals that this process was started with blocked.
func Blocked() Set { return 0 }

// Catch is not supported here.
func Catch(Set) (r int, errno uintptr) { return -1, 1 }

// Missed is not supported here.
func Missed() Set { return 0 }

// Default is not supported here.
func Default(int) {}

// KeepPipe is not supported here.
func KeepPipe() {}

// Leave is not supported here.
func Leave() {}

// WithMask calls f.
func WithMask(f func()) { f() }

// Unblock is not supported here.
func Unblock() {}
