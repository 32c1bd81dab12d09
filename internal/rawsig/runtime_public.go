//go:build linux && (amd64 || arm64) && (!go1.26 || go1.27 || idem_public)

package rawsig

import "unsafe"

// This file replaces runtime.go where only the public behavior of Go's runtime is
// known. The runtime then installs its handlers before init, which removes them 0.2 ms
// later. Among the signals ignored at the start, only HUP and INT are known.
// The build tag idem_public selects this file with any version of Go, for tests.

func initial(n int) uintptr {
	var now sigaction
	set(n, nil, &now)
	return now.handler
}

func goHandlers()     {}
func isLibrary(uint8) {}
func signalsOK(uint8) {}

// initialMask returns the mask of this thread, without the signals that the runtime
// has unblocked.
func initialMask() uint64 {
	var mask uint64
	syscall(sysSigprocmask, sigUnblock, 0, uintptr(unsafe.Pointer(&mask)), 8)
	return mask
}
