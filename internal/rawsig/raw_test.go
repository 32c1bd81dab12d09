//go:build linux && (amd64 || arm64)

package rawsig

import (
	"testing"
	"unsafe"
)

func TestSet(t *testing.T) {
	s := SetOf(1, 64)
	for n, want := range map[int]bool{-1: false, 0: false, 1: true, 2: false, 63: false, 64: true, 65: false} {
		if s.Has(n) != want {
			t.Errorf("%d: %v", n, s.Has(n))
		}
	}
}

// The layout of Info must match the handler and the kernel.
func TestInfo(t *testing.T) {
	if n := unsafe.Sizeof(Info{}); n != InfoSize {
		t.Errorf("%d bytes", n)
	}
	if at := unsafe.Offsetof(Info{}.PID); at != 16 {
		t.Errorf("the sender is at %d", at)
	}
}
