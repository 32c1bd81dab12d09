//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

package rawsig

import "testing"

// It fails where a variable of the runtime has another name or meaning.
func TestTheRuntimeLeavesDispositionsAlone(t *testing.T) {
	if !early {
		t.Error("the runtime has installed its handlers before our first instruction: runtime.s does nothing")
	}
}
