package mutex

import (
	"strings"
	"testing"

	"idem/test/chaos/lab"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, journal string
		bad           string // the event that is found
	}{
		{"nothing", "", ""},
		{"one after the other", "start:x:a end:x:a start:y:a", ""},
		{"two at once", "start:x:a start:y:a", "start y a 0"},
		{"two at once, of several", "start:x:a,b start:y:b", "start y b 0"},
		{"different mutexes", "start:x:a start:y:b", ""},
		{"as many as the limit", "start:x:c:3 start:y:c:3 start:z:c:3", ""},
		{"more than the limit", "start:x:c:3 start:y:c:3 start:z:c:3 start:w:c:3", "start w c:3 0"},
		{"another limit", "start:x:c:3 start:y:c", "start y c 0"},
		{"another limit, first", "start:y:c start:x:c:3", "start x c:3 0"},
		{"after a kill", "start:x:a kill-command:x:- start:y:a", ""},
		{"after the return", "start:x:a return:x:- start:y:a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var events []lab.Event
			for _, word := range strings.Fields(test.journal) {
				f := strings.SplitN(word, ":", 3)
				events = append(events, lab.Event{Kind: lab.Kind(f[0]), Call: f[1], Run: f[2]})
			}
			got := ""
			if i := check(events); i >= 0 {
				got = events[i].String()
			}
			if got != test.bad {
				t.Errorf("got %q, want %q", got, test.bad)
			}
		})
	}
}
