package lenprefix

import (
	"strings"
	"testing"
)

func TestAppend(t *testing.T) {
	long := strings.Repeat("x", 300)
	got := string(Append([]byte("start"), "", "a", "ä\x00", long))
	if want := "start\x00\x01a\x03ä\x00\xac\x02" + long; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(Append(nil, []byte("ab"), nil)); got != "\x02ab\x00" {
		t.Errorf("got %q", got)
	}
}
