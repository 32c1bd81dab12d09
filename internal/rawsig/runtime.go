//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

package rawsig

// These functions access the variables of runtime.s. They are written in assembly.

// initial returns the handler that signal n had at the start. The runtime stores it.
func initial(n int) uintptr

// goHandlers makes the runtime install the handlers that it needs as a library: those
// for its own faults, for preemption, and for PIPE.
func goHandlers()

// isLibrary sets whether the runtime takes itself for a library.
func isLibrary(is uint8)

// signalsOK sets whether the runtime's handlers act. If not, a signal has the effect
// of the disposition that they replaced.
func signalsOK(are uint8)

// initialMask returns the signal mask that the process was started with.
func initialMask() uint64
