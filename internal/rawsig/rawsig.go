// Package rawsig gives signals the dispositions that this process was started
// with, and catches them without Go's runtime.
//
// The runtime installs a handler for every signal before any code of ours runs.
// It then drops most signals, and answers some with a stack trace and status 2.
// On Linux this package undoes that: it is initialised right behind the runtime
// (it imports nothing, so no other package has to come first), and from there on
// a signal does to idem what it does to any program.
//
// Catch replaces os/signal, which needs a handover between threads for each signal
// (40 µs), cannot catch PROF, and does not say who has sent a signal.
//
// Nothing here knows about commands; package proc decides what becomes of a
// signal.
package rawsig

// Set is a set of signals: bit n-1 is signal n.
type Set uint64

// Of returns the set of some signals.
func Of(signals ...int) (s Set) {
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
