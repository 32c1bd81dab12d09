package triggers

import (
	"fmt"
	"strings"

	"idem/test/chaos/lab"
)

// The promises, as the figures name them.
const (
	noOverlap = "overlapping executions"
	noOlder   = "answers that are older than their question"
	noUnknown = "answers that no run gave"
	noNeed    = "runs that no call needed"
	noOddity  = "unexpected ends of a call"
	noEnd     = "calls that did not end"
)

// promises lists the promises in the order of the table.
var promises = []string{noOverlap, noOlder, noUnknown, noNeed, noOddity, noEnd}

// fresh is the flag whose calls count only runs that began after them.
const fresh = "--wait=fresh"

func isFresh(call string) bool { return strings.Contains(call, fresh) }

// counts has the figures of one journal.
type counts struct{ calls, runs, shared int }

func (c *counts) add(d counts) {
	c.calls += d.calls
	c.runs += d.runs
	c.shared += d.shared
}

// run is an execution of the command.
type run struct {
	id, call   string
	start, end int // lines of the journal; end is -1 without an end
	code       int // of the command
	earlier    int // the end of the run before, -1 without one
}

// check tests the promises on the journal of one key. It uses nothing that idem has
// written, apart from the note that a call waits.
func check(key string, events []lab.Event) (c counts, faults []lab.Fault) {
	fail := func(promise string, at int, format string, args ...any) {
		faults = append(faults, lab.Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: at})
	}
	runs := map[string]*run{}
	called, waiting := map[string]int{}, map[string]int{}
	killed := map[string]bool{}
	for _, e := range events {
		if e.Kind == lab.KillIdem { // idem may not have recorded the end of its command
			killed[e.Call] = true
		}
	}
	var last *run
	lastKill := -1
	for i, e := range events {
		switch e.Kind {
		case lab.KillIdem:
			lastKill = i
		case lab.Called:
			c.calls++
			called[e.Call] = i
		case waits:
			waiting[e.Call] = i
		case lab.Overlap:
			fail(noOverlap, i, "run %s found another at work", e.Run)
		case lab.Started:
			c.runs++
			now := &run{id: e.Run, call: e.Call, start: i, end: -1, earlier: -1}
			if last != nil {
				now.earlier = last.end
			}
			// A call that was killed since may have begun an attempt whose command did not start.
			if last != nil && !killed[last.call] && lastKill < last.start && last.end >= 0 && last.code == 0 && answers(e.Call, waiting, last) {
				fail(noNeed, i, "%s runs, although %s of line %d succeeded", e.Call, last.id, last.start)
			}
			runs[e.Run], last = now, now
		case lab.Ended:
			runs[e.Run].end, runs[e.Run].code = i, e.Code
		case lab.Returned:
			if e.Code != 0 {
				break
			}
			r := runs[e.Run]
			switch {
			case r == nil || r.end < 0 || r.code != 0:
				fail(noUnknown, i, "%s got the answer %q", e.Call, e.Run)
			case r.call == e.Call || !isFresh(e.Call):
			case r.start < called[e.Call]:
				fail(noOlder, i, "%s was called in line %d and replays %s of line %d", e.Call, called[e.Call], r.id, r.start)
			default:
				c.shared++
			}
		}
	}
	return c, faults
}

// answers reports whether the success of a run surely answers a call that ran the command
// after it. With --wait=fresh, the run must have begun after the call had read the
// record. The call has read it when it says that it waits. idem has recorded the begin of
// the run before the command could log its start, but not before the end of the run before.
func answers(call string, waiting map[string]int, r *run) bool {
	said, ok := waiting[call]
	return !isFresh(call) || ok && said < r.earlier
}
