package triggers

import (
	"slices"
	"strings"
	"testing"

	"idem/test/chaos/lab"
)

// Each journal breaks the promises that are named, and no other. A call named f has
// --wait=fresh, one named w has --wait.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		journal string
		want    string
		shared  int
	}{
		"one run for two calls":         {"call f1;call f2;start f1 r1;waits f2;end f1 r1;return f1 r1;start f2 r2;end f2 r2;return f2 r2", "", 0},
		"a call during a run":           {"call f1;start f1 r1;call f2;waits f2;end f1 r1;return f1 r1;return f2 r1", noOlder, 0},
		"--wait shares the run":         {"call f1;start f1 r1;call w2;waits w2;end f1 r1;return f1 r1;return w2 r1", "", 0},
		"shared":                        {"call f1;start f1 r1;call f2;call f3;waits f2;waits f3;end f1 r1;return f1 r1;start f2 r2;end f2 r2;return f2 r2;return f3 r2", "", 1},
		"once more than needed":         {"call f1;start f1 r1;call f2;call f3;waits f2;waits f3;end f1 r1;start f2 r2;end f2 r2;start f3 r3;end f3 r3;return f3 r3", noNeed, 0},
		"perhaps read during the run":   {"call f1;start f1 r1;call f2;call f3;waits f2;end f1 r1;start f2 r2;waits f3;end f2 r2;start f3 r3;end f3 r3;return f3 r3", "", 0},
		"--wait after a success":        {"call f1;start f1 r1;end f1 r1;return f1 r1;call w2;start w2 r2;end w2 r2;return w2 r2", noNeed, 0},
		"after a failure":               {"call f1;call f2;waits f2;start f1 r1;end f1 r1 3;return f1 - 3;start f2 r2;end f2 r2;return f2 r2", "", 0},
		"idem was killed before it saw": {"call f1;call f2;waits f2;start f1 r1;end f1 r1;kill-idem f1;return f1 - -9;start f2 r2;end f2 r2;return f2 r2", "", 0},
		"an attempt was killed before":  {"call f1;start f1 r1;call f2;call f3;waits f2;waits f3;end f1 r1;start f2 r2;end f2 r2;call f4;kill-idem f4;return f4 - -9;start f3 r3;end f3 r3;return f3 r3", "", 0},
		"no run":                        {"call f1;return f1 r1", noUnknown, 0},
		"a run that failed":             {"call f1;start f1 r1;end f1 r1 3;return f1 r1", noUnknown, 0},
		"two at once":                   {"call f1;call f2;start f1 r1;overlap f2 r2;end f1 r1;return f1 r1", noOverlap, 0},
	} {
		var events []lab.Event
		for line := range strings.SplitSeq(test.journal, ";") {
			f := append(strings.Fields(line), "-", "0")
			text := f[0] + " " + map[byte]string{'f': fresh, 'w': "--wait"}[f[1][0]] + f[1] + " " + f[2]
			code := "0"
			if len(f) > 5 {
				code = f[3]
			}
			parsed, err := lab.ParseJournal([]byte("\n" + text + " " + code + ";"))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, parsed...)
		}
		c, faults := check("k", events)
		var got []string
		for _, f := range faults {
			got = append(got, f.Promise)
		}
		if want := strings.Fields(test.want); c.shared != test.shared || (len(want) > 0) != (len(got) > 0) || len(want) > 0 && !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: got %q and %d shared, want %q and %d", name, got, c.shared, test.want, test.shared)
		}
	}
}
