package testkit_test

import (
	"fmt"
	"testing"

	"idem/internal/testkit"
)

// spy notes how a test ends.
type spy struct{ end string }

func (s *spy) Helper()                        {}
func (s *spy) Fatalf(format string, a ...any) { s.end += "fails: " + fmt.Sprintf(format, a...) }
func (s *spy) Skipf(format string, a ...any)  { s.end += "skips: " + fmt.Sprintf(format, a...) }

func TestMissingFailsWhenStrict(t *testing.T) {
	for strict, want := range map[string]string{
		"":  "skips: X is missing",
		"1": "fails: IDEM_TEST_STRICT: X is missing",
	} {
		t.Setenv("IDEM_TEST_STRICT", strict)
		var s spy
		testkit.Missing(&s, "X")
		// Fatalf of a real test does not return.
		if got := s.end[:min(len(s.end), len(want))]; got != want {
			t.Errorf("IDEM_TEST_STRICT=%q: got %q, want %q", strict, s.end, want)
		}
	}
}
