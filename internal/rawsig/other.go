//go:build !linux || !(amd64 || arm64)

package rawsig

// Supported reports whether this package has an effect on this platform.
const Supported = false

// Ignored returns the empty set.
func Ignored() Set { return 0 }

// Closed does not know it here: the runtime has opened /dev/null in its place.
func Closed(int) (was, known bool) { return false, false }

// Blocked returns the empty set.
func Blocked() Set { return 0 }

// Catch returns the errno EPERM: it is not supported here.
func Catch(Set) (r int, errno uintptr) { return -1, 1 }

// Missed returns the empty set.
func Missed() Set { return 0 }

// Default does nothing here.
func Default(int) {}

// KeepPipe does nothing here.
func KeepPipe() {}

// Leave does nothing here.
func Leave() {}

// WithMask calls f.
func WithMask(f func()) { f() }

// Unblock does nothing here.
func Unblock() {}
