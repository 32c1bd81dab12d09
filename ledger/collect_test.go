package ledger

import (
	"testing"
	"time"
)

func TestRunTime(t *testing.T) {
	const id = "01a22b17-4e17-77e0-a0e4-7b606ab00eaf"
	if at, ok := RunTime(id); !ok || !at.Equal(time.UnixMilli(0x01a22b174e17)) {
		t.Errorf("got %v, %v", at, ok)
	}
	for _, other := range []string{
		"", "README", "../ledger.db", "live-ABC", id[:35], id + "0", "01a22b17-4e17-47e0-a0e4-7b606ab00eaf",
		"01A22B17-4E17-77E0-A0E4-7B606AB00EAF", "01a22b17-4e17-77e0-a0e4-7b606ab00ea/", "01a22b17/4e17-77e0-a0e4-7b606ab00eaf",
	} {
		if _, ok := RunTime(other); ok {
			t.Errorf("%q is a run ID", other)
		}
	}
}
