//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

package rawsig

import "testing"

// The test fails if a variable of the runtime has another name or meaning than in
// runtime.s.
func TestTheRuntimeLeavesDispositionsAlone(t *testing.T) {
	if !early {
		t.Error("the runtime installed its handlers before init: runtime.s has no effect")
	}
}
