package cmd

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"idem/jobs"
	"idem/ledger"
)

// A value of a label can be read back, whatever a key has, and ends neither its line nor
// itself.
func FuzzLabelValue(f *testing.F) {
	for _, text := range []string{"", "deploy:prod:*", `a"b`, `a\b`, "a\nb", `\n`, `\`, "\xff", "日本", "\r\x00", `x"} 1`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := labelValue(text)
		if !utf8.ValidString(got) || strings.Contains(got, "\n") {
			t.Fatalf("%q: got %q", text, got)
		}
		var b strings.Builder
		for i := 0; i < len(got); i++ {
			switch c := got[i]; {
			case c == '"':
				t.Fatalf("%q: got %q, which ends too early", text, got)
			case c != '\\':
				b.WriteByte(c)
			case i+1 == len(got):
				t.Fatalf("%q: got %q, which does not end", text, got)
			default:
				i++
				b.WriteByte(map[byte]byte{'n': '\n', '"': '"', '\\': '\\'}[got[i]])
			}
		}
		if b.String() != validText(text) {
			t.Errorf("%q: read back as %q", text, b.String())
		}
	})
}

// However many namespaces and jobs a ledger has, the number of series is limited, and
// nothing is lost from the sums.
func TestSeriesAreLimited(t *testing.T) {
	s := stats{Summary: &jobs.Summary{Keys: map[string]ledger.Tally{}}, now: time.Now()}
	for i := range 30 {
		name := strings.Repeat("n", i+1)
		s.Keys[name] = ledger.Tally{ledger.PhaseSucceeded: i}
		j := &jobs.Job{Lane: jobs.Lane{Namespace: name, Name: "other"}}
		j.Runs[jobs.Failed] = 1
		s.Lanes = append(s.Lanes, j)
	}
	text := s.metricsText(4, false)
	for want, n := range map[string]int{
		`state="succeeded"`: 5, `idem_keys{namespace="",state="succeeded"} 325` + "\n": 1, `idem_keys{namespace="` + strings.Repeat("n", 30) + `",state="succeeded"} 29`: 1,
		`job="other",result="failed"} 1` + "\n": 4, `{namespace="",job="other",result="failed"} 26` + "\n": 1,
	} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%s: got %d, want %d, in\n%s", want, got, n, text)
		}
	}
}
