package kill

import (
	"testing"
)

// TestLinearizable feeds the model with histories, in the words of TestCheck.
// The check proves nothing unless it finds the bad histories.
func TestLinearizable(t *testing.T) {
	const (
		once        = "call:a start:a end:a return:a "
		interrupted = "call:a start:a kill-idem:a killed:a=1 return:a=-9 "
		failedOnce  = "call:a start:a end:a=3 return:a=3 "
		twoAtOnce   = "call:a call:b start:a "
	)
	for _, test := range []struct {
		name    string
		policy  policy
		journal string
		bad     string // the event without an explanation, or "" for a good history
	}{
		{"once, and a replay", strict, once + "call:b return:b@a", ""},
		{"busy, then a replay", strict, twoAtOnce + "return:b=75 end:a return:a call:b return:b@a", ""},
		{"a waiting call returns before the running one", strict, twoAtOnce + "end:a return:b@a return:a", ""},
		{"busy before any start", strict, "call:a call:b return:b=75 start:a end:a return:a", ""},
		{"a failure runs again", careful, failedOnce + "call:b start:b end:b return:b", ""},
		{"a failure is final", strict, failedOnce + "call:b return:b=80", ""},
		{"an interruption is reported", strict, interrupted + "call:b return:b=79", ""},
		{"an interruption is rerun", careless, interrupted + "call:b start:b end:b return:b", ""},
		{"killed after the success was recorded", strict, "call:a start:a end:a kill-idem:a killed:a=1 return:a=-9 call:b return:b@a", ""},
		{"killed before the success was recorded", strict, "call:a start:a end:a kill-idem:a killed:a=1 return:a=-9 call:b return:b=79", ""},
		{"killed before the start was recorded", strict, "call:a kill-idem:a killed:a=1 return:a=-9 call:b start:b end:b return:b", ""},
		{"killed after the start was recorded, before the command started", strict, "call:a kill-idem:a killed:a=1 return:a=-9 call:b return:b=79", ""},
		{"the command logs its start later", strict, "call:a kill-idem:a killed:a=1 return:a=-9 call:b return:b=75 start:a end:a call:c return:c=79", ""},
		{"a mark lets it run", strict, interrupted + "mark-retry marked call:b start:b end:b return:b", ""},
		{"a mark that has not returned yet", strict, interrupted + "mark-retry call:b start:b", ""},
		{"done has no output", strict, interrupted + "mark-done marked call:b return:b@-", ""},
		{"done again", strict, once + "mark-done marked call:b return:b@a", ""},
		{"a success cannot be marked failed", strict, once + "mark-failed marked=64 call:b return:b@a", ""},
		{"the command ended during a kill of idem that came too late", strict, "call:a call:b start:a kill-idem:a end:a killed:a=0 return:b@a", ""},
		{"... and the outcome is acknowledged", strict, "call:a start:a kill-idem:a end:a killed:a=0 return:a call:b return:b@a", ""},
		{"the command failed during a kill that came too late", careful, "call:a call:b start:a kill-command:a end:a=3 killed:a=0 start:b return:a=3 end:b return:b", ""},
		{"the end is not acknowledged yet", strict, "call:a start:a end:a call:b return:b@a", ""},

		{"a second execution after an acknowledged success", careless, once + "call:b start:b end:b return:b", "start b b 0"},
		{"... also of a call from before", careless, twoAtOnce + "end:a return:a call:c return:c@a start:b", "start b b 0"},
		{"a replay of another output", strict, once + "call:b return:b@c", "return b c 0"},
		{"... of none", strict, once + "call:b return:b@-", "return b - 0"},
		{"... of a failed run's", careful, failedOnce + "call:b start:b end:b return:b call:c return:c@a", "return c a 0"},
		{"79 after a success", strict, once + "call:b return:b=79", "return b b 79"},
		{"79 after an acknowledged success", strict, "call:a start:a end:a call:b return:b@a call:c return:c=79", "return c c 79"},
		{"79 for a key that never ran", strict, "call:a return:a=79", "return a a 79"},
		{"79 after a failure", strict, failedOnce + "call:b return:b=79", "return b b 79"},
		{"79 while the command is alive", strict, interrupted + "call:b return:b=79 end:a", "end a a 0"},
		{"79 where it should rerun", careless, interrupted + "call:b return:b=79", "return b b 79"},
		{"75 after a success", strict, once + "call:b return:b=75", "return b b 75"},
		{"80 after a success", strict, once + "call:b return:b=80", "return b b 80"},
		{"80 of an interruption", strict, interrupted + "call:b return:b=80", "return b b 80"},
		{"a replay before any success", strict, "call:a return:a@b call:b start:b end:b return:b", "return a b 0"},
		{"a replay of a run that has not ended", strict, twoAtOnce + "return:b@a end:a return:a", "return b a 0"},
		{"a success of a run that failed", strict, "call:a start:a end:a=3 return:a", "return a a 0"},
		{"a success that is forgotten after two readers", careless, once + "call:b return:b@a call:c start:c", "start c c 0"},
		{"an interruption rerun under refuse", careful, interrupted + "call:b start:b", "start b b 0"},
		{"a failure rerun under refuse", strict, failedOnce + "call:b start:b", "start b b 0"},
		{"a rerun while the first command is alive", careless, interrupted + "call:b start:b end:a", "end a a 0"},
		{"... or a worker of it", careful, "call:a start:a kill-command:a killed:a=1 return:a=-9 call:b start:b worked:a", "worked a a 0"},
		{"two starts at once", careless, twoAtOnce + "start:b", "start b b 0"},
		{"two starts by one call", careless, interrupted + "call:b start:b start:b@c", "start b c 0"},
		{"a run after done", careless, interrupted + "mark-done marked call:b start:b", "start b b 0"},
		{"a run after a refused mark", strict, interrupted + "mark-retry marked=75 call:b start:b", "start b b 0"},
		{"a mark while the command is alive", strict, interrupted + "mark-retry marked end:a", "end a a 0"},
		{"a mark that undoes a success", strict, once + "mark-retry marked", "marked - - 0"},
		{"another status", strict, "call:a return:a=125", "return a a 125"},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := parse(t, test.journal)
			at, err := linearizable(test.policy, events)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if at >= 0 {
				got = events[at].String()
			}
			if got != test.bad {
				t.Errorf("%s\ngot  %q\nwant %q", test.journal, got, test.bad)
			}
		})
	}
}
