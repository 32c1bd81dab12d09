// Package rawsig gives signals the dispositions that this process was started with,
// and catches signals without Go's runtime.
//
// The runtime installs a handler for every signal before any code of this program
// runs. It then drops most signals, and answers some with a stack trace and status 2.
// On Linux this package undoes that. It imports nothing, so it is initialized right
// after the runtime. From then on, a signal has the same effect on idem as on any
// program.
//
// Catch replaces os/signal, which has three drawbacks:
//
//   - It needs a handover between threads for each signal (40 µs).
//   - It cannot catch PROF.
//   - It does not report the sender of a signal.
//
// This package does not know about commands. Package proc decides what happens to a
// caught signal.
package rawsig

// Set is a set of signals: bit n-1 is signal n.
type Set uint64

// SetOf returns the set of the given signals.
func SetOf(signals ...int) (s Set) {
	for _, n := range signals {
		s |= 1 << (n - 1)
	}
	return s
}

// Has reports whether n is in s.
func (s Set) Has(n int) bool { return n > 0 && n <= 64 && s&(1<<(n-1)) != 0 }

// InfoSize is the size of an Info as the kernel writes it, in bytes.
const InfoSize = 128

// Info is a siginfo_t.
type Info struct {
	Signo, Errno, Code int32
	_                  int32
	PID                int32 // of the sender, with Code <= 0
	UID                uint32
	_                  [InfoSize - 24]byte
}
