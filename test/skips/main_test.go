package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	var in strings.Builder
	say := func(action, test, output string) {
		fmt.Fprintf(&in, "{\"Action\":%q,\"Package\":\"p\",\"Test\":%q,\"Output\":%q}\n", action, test, output)
	}
	say("output", "TestGood", "=== RUN   TestGood\n")
	say("output", "TestGood", "    x.go:1: quiet\n")
	say("pass", "TestGood", "")
	say("output", "TestTool", "    x.go:2: no strace\n")
	say("output", "TestTool", "--- SKIP: TestTool (0.00s)\n")
	say("skip", "TestTool", "")
	good := in.String()
	say("output", "", "PASS\n")
	say("output", "", "ok  \tp\t0.1s\n")
	say("pass", "", "")
	passed := in.String()

	in.Reset()
	say("output", "TestBad", "=== RUN   TestBad\n")
	say("output", "TestBad", "    x.go:3: wrong\n")
	say("fail", "TestBad", "")
	say("output", "TestPanics", "panic: boom\n")
	say("output", "", "FAIL\tp\t0.1s\n")
	say("fail", "", "")
	failed := "go: not json\n" + good + in.String()

	for _, test := range []struct {
		name, in, out string
		failed        bool
	}{
		{"passed", passed, "ok  \tp\t0.1s\n", false},
		{"failed", failed, "go: not json\n    x.go:3: wrong\npanic: boom\nFAIL\tp\t0.1s\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			skipped, failed := filter(strings.NewReader(test.in), &out, false)
			if out.String() != test.out || failed != test.failed {
				t.Errorf("got %q, %v; want %q, %v", out.String(), failed, test.out, test.failed)
			}
			if want := []string{"p TestTool: x.go:2: no strace"}; !slices.Equal(skipped, want) {
				t.Errorf("skipped: got %q, want %q", skipped, want)
			}
		})
	}
}
