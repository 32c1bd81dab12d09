//go:build linux && (amd64 || arm64) && (!go1.26 || go1.27 || idem_public)

package rawsig

import "unsafe"

// These replace runtime.go where only the public behaviour of Go's runtime is known:
// it has installed its handlers before our first instruction. init takes them back,
// 0.2 ms later. Signals other than HUP and INT that were ignored at the start are
// not known. The tag idem_public builds this with any version, to try it.

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
