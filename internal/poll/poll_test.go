package poll

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	bad := errors.New("bad")
	for _, test := range []struct {
		name string
		at   int // the call that ends it
		err  error
	}{{"at once", 1, nil}, {"later", 4, nil}, {"error", 3, bad}} {
		n := 0
		err := Until(t.Context(), time.Microsecond, time.Millisecond, func() (bool, error) {
			n++
			return n == test.at && test.err == nil, map[bool]error{true: test.err}[n == test.at]
		})
		if !errors.Is(err, test.err) || n != test.at {
			t.Errorf("%s: %d calls, error %v", test.name, n, err)
		}
	}
}

// TestUntilTheEnd: when ctx ends, the last answer still counts.
func TestUntilTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Until(ctx, time.Hour, time.Hour, func() (bool, error) { return true, nil }); err != nil {
		t.Errorf("done: got error %v", err)
	}
	if err := Until(ctx, time.Hour, time.Hour, func() (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("not done: got error %v", err)
	}
}
