//go:build linux

package shared

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"idem/test/chaos/lab"
)

func TestCheck(t *testing.T) {
	// A word is an event: KIND:CALL:RUN:CODE.
	for _, test := range []struct {
		name, journal string
		rerun         bool
		want          string // the promise that is broken
	}{
		{"nothing", "", false, ""},
		{"a run and a replay", "call:x start:x:1:10 end:x:1:0 return:x:1:0 call:y return:y:1:0", false, ""},
		{"two at once", "start:x:1:10 start:y:2:11 overlap:y:2:11", true, noOverlap},
		{"a start after a success", "call:x start:x:1:10 end:x:1:0 return:x:1:0 start:y:2:11", true, noRepeat},
		{"a start after a finish, refuse", "start:x:1:10 end:x:1:0 start:y:2:11", false, noCause},
		{"a start after a finish, rerun", "start:x:1:10 end:x:1:0 start:y:2:11", true, ""},
		{"a start after a finish and a mark", "start:x:1:10 end:x:1:0 mark-retry:op marked:op::0 start:y:2:11", false, ""},
		{"one mark, two starts", "start:x:1:10 end:x:1:0 mark-retry:op marked:op::0 start:y:2:11 end:y:2:0 start:z:3:12", false, noCause},
		{"a mark that was refused", "start:x:1:10 end:x:1:0 mark-retry:op marked:op::75 start:y:2:11", false, noCause},
		{"a start after a failure", "start:x:1:10 end:x:1:3 return:x::3 start:y:2:11", false, ""},
		{"a start after the command was killed", "start:x:1:10 end:x:1:0 kill-command:x start:y:2:11", false, ""},
		{"a start after idem was killed", "start:x:1:10 end:x:1:0 kill-idem:x start:y:2:11", false, noCause},
		{"a run twice", "start:x:1:10 start:x:1:11", true, noTwice},
		{"the same fence", "start:x:1:10 end:x:1:3 start:y:2:10", true, noFence},
		{"a smaller fence", "start:x:1:10 end:x:1:3 start:y:2:9", true, noFence},
		{"an invented success", "call:x start:x:1:10 return:x:1:0", true, noInvention},
		{"a success without output", "call:x return:x::0", true, noInvention},
		{"a success by a mark", "mark-done:op call:x return:x::0", true, ""},
		{"garbage", "call:x start:x:1:10 end:x:1:0 return:x:garbage:0", true, noInvention},
		{"another reply", "start:x:1:10 end:x:1:0 start:y:2:11 end:y:2:0 return:y:2:0 return:x:1:0", true, noDifference},
		{"unknown after a success", "call:x start:x:1:10 end:x:1:0 return:x:1:0 call:y return:y::79", false, noLoss},
		{"busy after a success", "call:x start:x:1:10 end:x:1:0 return:x:1:0 call:y return:y::75", false, noLoss},
		{"out of reach after a success", "call:x start:x:1:10 end:x:1:0 return:x:1:0 call:y return:y::69", false, ""},
		{"busy, called before the success", "call:y call:x start:x:1:10 end:x:1:0 return:x:1:0 return:y::75", false, ""},
		{"unknown under rerun", "call:y return:y::79", true, noOddity},
		{"a signal that was sent", "call:x kill-all:x return:x::-9", true, ""},
		{"a signal that was not sent", "call:x return:x::-9", true, noOddity},
		{"an odd status", "call:x return:x::1", true, noOddity},
	} {
		t.Run(test.name, func(t *testing.T) {
			var events []lab.Event
			for word := range strings.FieldsSeq(test.journal) {
				f := append(strings.Split(word, ":"), "", "", "")
				e := lab.Event{Kind: lab.Kind(f[0]), Call: f[1], Run: f[2]}
				_, _ = fmt.Sscan(f[3], &e.Code) // no code is 0
				events = append(events, e)
			}
			_, faults := check("key", test.rerun, events)
			var got []string
			for _, f := range faults {
				if !slices.Contains(got, f.Promise) {
					got = append(got, f.Promise)
				}
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("got %q, want %q", s, test.want)
			}
		})
	}
}
