//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

package rawsig

// Access to the variables of runtime.s. In assembly.

// initial returns the handler that signal n had at the start: the runtime keeps it.
func initial(n int) uintptr

// goHandlers has the runtime install the handlers that it needs as a library: those
// for its own faults, for preemption, and for PIPE.
func goHandlers()

// isLibrary tells the runtime whether it is one.
func isLibrary(is uint8)

// signalsOK tells the runtime whether its handlers are to act. Otherwise they do what
// they replace.
func signalsOK(are uint8)

// initialMask returns the mask that the process was started with.
func initialMask() uint64
