package resume

import (
	"strings"
	"testing"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		journal  string // KIND RUN CODE, one on each line
		attempts string // RUN STATE REASON, one on each line
		want     string
	}{
		"done":                          {"start a 0/worked a 0/end a 0", "a succeeded exit", ""},
		"failed, then done":             {"start a 0/end a 3/start b 0/worked b 0", "a failed exit/b succeeded exit", ""},
		"killed after the effect":       {"start a 0/worked a 0/kill-command a 0/start b 0/worked b 0", "a failed signal/b succeeded exit", ""},
		"marked done":                   {"start a 0/worked a 0", "a running lost/m succeeded marked", ""},
		"interrupted, and run again":    {"start a 0/worked a 0/start b 0/worked b 0", "a failed lost/b succeeded exit", noSecond},
		"twice":                         {"start a 0/worked a 0/start b 0/worked b 0", "a succeeded exit/b succeeded exit", noSecondRun + "," + noSecond},
		"never":                         {"", "a succeeded exit", noInvention + "," + noLoss},
		"not recorded":                  {"start a 0/worked a 0/start x 0", "a succeeded exit", noUnknown},
		"at the same time":              {"start a 0/worked a 0/overlap b 0", "a succeeded exit", noOverlap},
		"another value":                 {"start a 0/worked a 0/return a 0/return b 0", "a succeeded exit", noValue},
		"no value of a success":         {"start a 0/worked a 0/return - 0", "a succeeded exit", noValue},
		"no value after a mark as done": {"start a 0/worked a 0/return - 0", "a running lost/m succeeded marked", ""},
	} {
		var events []lab.Event
		for line := range strings.SplitSeq(tt.journal, "/") {
			if f := strings.Fields(line); len(f) == 3 {
				events = append(events, lab.Event{Kind: lab.Kind(f[0]), Run: strings.TrimPrefix(f[1], "-")})
			}
		}
		var attempts []rig.Attempt
		for line := range strings.SplitSeq(tt.attempts, "/") {
			f := strings.Fields(line)
			attempts = append(attempts, rig.Attempt{Run: f[0], State: f[1], Reason: f[2]})
		}
		var got []string
		_, faults := check("k", events, attempts, true)
		for _, f := range faults {
			got = append(got, f.Promise)
		}
		if text := strings.Join(got, ","); text != tt.want {
			t.Errorf("%s: got the faults %q, want %q", name, text, tt.want)
		}
	}
}

func TestOrdered(t *testing.T) {
	events := func(text string) (list []lab.Event) {
		for line := range strings.SplitSeq(text, "/") {
			f := strings.Fields(line)
			e := lab.Event{Kind: lab.Kind(f[0]), Call: f[1], Run: strings.TrimPrefix(f[2], "-")}
			list = append(list, e)
		}
		return list
	}
	for name, tt := range map[string]struct {
		journal  string // KIND CALL RUN
		attempts []rig.Attempt
		want     bool
	}{
		"done":                         {"call c -/start k a/return c -", []rig.Attempt{{Run: "a", State: "succeeded"}}, true},
		"an answer before the start":   {"call c -/return c -/start k a", []rig.Attempt{{Run: "a", State: "succeeded"}}, false},
		"an answer to an interruption": {"call c -/start k a/return c -", []rig.Attempt{{Run: "a", State: "failed", Reason: "lost"}}, false},
		"run again after a mark": {
			"start k a/mark-retry k -/marked k -/start k b",
			[]rig.Attempt{{Run: "a", State: "failed", Reason: "lost"}, {Run: "b", State: "succeeded"}},
			true,
		},
		"run again without a mark":  {"start k a/start k b", []rig.Attempt{{Run: "a", State: "failed", Reason: "lost"}, {Run: "b", State: "succeeded"}}, false},
		"run again after a failure": {"start k a/start k b", []rig.Attempt{{Run: "a", State: "failed", Reason: "signal"}, {Run: "b", State: "succeeded"}}, true},
		"the value of another run":  {"start k a/return k b", []rig.Attempt{{Run: "a", State: "succeeded"}}, false},
	} {
		if got := ordered("k", events(tt.journal), tt.attempts); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
