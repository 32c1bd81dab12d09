package kill

import (
	"slices"
	"strings"
	"testing"

	"idem/test/chaos/lab"
)

var (
	careless = policy{rerunInterrupted: true, rerunFailed: true}
	careful  = policy{rerunInterrupted: false, rerunFailed: true}
	strict   = policy{}
)

// TestCheck feeds the checker with journals of a key. Each word is an event:
// KIND[:CALL[@RUN]][=CODE]. Without RUN, the run has the name of its call.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name    string
		policy  policy
		journal string
		broken  []string
	}{
		{"once", strict, "call:a start:a end:a return:a call:b return:b", nil},
		{"a failure runs again", careful, "call:a start:a end:a=3 return:a=3 call:b start:b end:b return:b", nil},
		{"a killed idem may be rerun", careless, "call:a start:a kill-idem:a killed:a=1 return:a=-9 call:b start:b end:b return:b", nil},
		{"... or is marked", strict, "start:a kill-idem:a killed:a=1 return:a=-9 call:b return:b=79 mark-retry marked start:c end:c return:c", nil},
		{"... or done", strict, "start:a kill-idem:a killed:a=1 return:a=-9 mark-done marked return:b", nil},
		{"... while the mark is being made", strict, "start:a mark-retry kill-idem:a killed:a=1 start:c marked end:c return:c", nil},
		{"a killed command has failed", careful, "start:a kill-command:a killed:a=1 return:a=-9 start:b end:b return:b", nil},
		{"an orphan may finish, and then the rerun", careless, "start:a kill-idem:a killed:a=1 return:a=-9 end:a start:b end:b return:b", nil},
		{"a line that a kill cut short is ignored", careful, "start:a kill-command:a killed:a=1 return:a=-9 start:b end:b return:b sta", nil},

		{"overlap", careless, "start:a overlap:b", []string{noOverlap}},
		{"start after a success", careless, "start:a kill-idem:a killed:a=1 end:a return:a start:b", []string{noRepeat, noCause}},
		{
			"start after a success acknowledged to another caller", careless,
			"start:a kill-idem:a killed:a=1 return:a=-9 start:b end:b return:b start:c",
			[]string{noRepeat, noCause},
		},
		{"start after done", strict, "start:a kill-idem:a killed:a=1 return:a=-9 mark-done marked start:b", []string{noRepeat, noCause}},
		{"start after a success that is not acknowledged yet", careless, "start:a end:a start:b end:b return:a return:b", []string{noCause}},
		{"a second start without an event of the first", careless, "start:a start:b", []string{noCause}},
		{"the kill missed", careless, "start:a kill-idem:a killed:a=0 start:b", []string{noCause}},
		{"another caller was killed", careless, "start:a kill-idem:c killed:c=1 return:c=-9 start:b", []string{noCause}},
		{"a failure under refuse", strict, "start:a end:a=3 return:a=3 start:b", []string{noCause}},
		{"an interruption under refuse", careful, "start:a kill-idem:a killed:a=1 return:a=-9 start:b", []string{noCause}},
		{"a failure that no idem saw", careful, "start:a kill-idem:a killed:a=1 return:a=-9 end:a=3 start:b", []string{noCause}},
		{"a killed command that no idem saw", careful, "start:a kill-idem:a killed:a=1 kill-command:a killed:a=1 start:b", []string{noCause}},
		{"two finishes under refuse", careful, "start:a kill-idem:a killed:a=1 return:a=-9 end:a start:b end:b return:b", []string{noCause, noSecondEnd}},
		{
			"two finishes, one mark, three starts", strict,
			"start:a kill-idem:a killed:a=1 end:a mark-retry marked start:b kill-idem:b killed:b=1 start:c end:c",
			[]string{noCause, noSecondEnd},
		},
		{"a mark that was refused", strict, "start:a kill-idem:a killed:a=1 mark-retry marked=75 start:b", []string{noCause}},
		{"a mark of failure allows no run under refuse", strict, "start:a kill-idem:a killed:a=1 mark-failed marked start:b", []string{noCause}},
		{"a success without a run", careless, "call:a return:a", []string{noInvention}},
		{"success after a failure", careless, "start:a end:a=3 return:a", []string{noInvention}},
		{"success after a refused mark", strict, "start:a kill-idem:a killed:a=1 mark-done marked=75 return:b", []string{noInvention}},
		{"died by itself", careless, "call:a return:a=-9", []string{noOddity}},
		{"odd status", careless, "call:a return:a=69", []string{noOddity}},
		{"79 where it should rerun", careless, "call:a return:a=79", []string{noOddity}},
		{"80 where it should rerun", careful, "call:a return:a=80", []string{noOddity}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, faults := check("k", test.policy, parse(t, test.journal))
			var got []string
			for _, f := range faults {
				got = append(got, f.Promise)
			}
			if !slices.Equal(got, test.broken) {
				t.Errorf("%s\ngot  %q\nwant %q", test.journal, got, test.broken)
			}
		})
	}
}

// parse writes the words as a journal and returns its events.
func parse(t *testing.T, words string) []lab.Event {
	t.Helper()
	var b strings.Builder
	for word := range strings.FieldsSeq(words) {
		word, code, ok := strings.Cut(word, "=")
		if !ok {
			code = "0"
		}
		kind, call, _ := strings.Cut(word, ":")
		if call == "" {
			call = "-"
		}
		if kind == "sta" {
			b.WriteString("\nsta") // killed during the write
			continue
		}
		call, run, other := strings.Cut(call, "@")
		if !other {
			run = call
		}
		b.WriteString("\n" + kind + " " + call + " " + run + " " + code + ";")
	}
	events, err := lab.ParseJournal([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return events
}
