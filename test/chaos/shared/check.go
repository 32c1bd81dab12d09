//go:build linux

package shared

import (
	"fmt"

	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
)

// Kinds of events in addition to those of lab.
const (
	killKeeper lab.Kind = "kill-keeper" // the keeper of Call is about to be killed
	killAll    lab.Kind = "kill-all"    // all processes of Call are about to be killed
	powerCut   lab.Kind = "power-cut"   // the host of Call is about to be switched off
)

// The promises, as the figures name them.
const (
	noOverlap    = "overlapping executions"
	noRepeat     = "starts after an acknowledged success"
	noCause      = "starts without a cause after a success"
	noTwice      = "runs that were started twice"
	noFence      = "starts whose fence is not greater"
	noInvention  = "successes without a finish"
	noLoss       = "acknowledged successes that were lost"
	noDifference = "replies that differ from the first"
	noOddity     = "unexpected ends of a call"
	noLeftovers  = "processes left behind"
	noStanding   = "keys that cannot be decided in the end"
	noHang       = "calls that hang"
)

// promises lists those of the part shared in the order of the table.
var promises = []string{
	noOverlap, noRepeat, noCause, noTwice, noFence, noInvention, noLoss, noDifference, noOddity, noLeftovers, noStanding, noHang,
}

// counts has the figures of one journal.
type counts struct{ calls, starts, finishes, replays, busy, unknown, refused, unrecorded, marks int }

func (c *counts) add(d counts) {
	c.calls += d.calls
	c.starts += d.starts
	c.finishes += d.finishes
	c.replays += d.replays
	c.busy += d.busy
	c.unknown += d.unknown
	c.refused += d.refused
	c.unrecorded += d.unrecorded
	c.marks += d.marks
}

// checker tests the promises on the journal of one key. It uses nothing that idem has
// recorded.
type checker struct {
	key    string
	rerun  bool // --on-interrupted rerun, else refuse
	events []lab.Event
	counts counts
	faults []lab.Fault

	first    int                          // the event that acknowledged the success, -1 for none
	reply    string                       // the run whose output it had
	ended    map[string]bool              // runs whose command finished with 0
	started  map[string]int               // events, by run
	late     map[string]bool              // calls that were made after the acknowledgement
	hit      map[string]map[lab.Kind]bool // the kills of each call
	marked   bool                         // a mark that says done has begun
	used     map[int]bool                 // marks that have explained a start
	lastRun  string
	lastCall string
}

// check tests the journal of a key.
func check(key string, rerun bool, events []lab.Event) (counts, []lab.Fault) {
	c := &checker{
		key: key, rerun: rerun, events: events, first: -1, ended: map[string]bool{}, started: map[string]int{}, late: map[string]bool{},
		hit: map[string]map[lab.Kind]bool{}, used: map[int]bool{},
	}
	for i, e := range events {
		c.event(i, e)
	}
	return c.counts, c.faults
}

func (c *checker) fail(promise string, at int, format string, args ...any) {
	c.faults = append(c.faults, lab.Fault{Promise: promise, Key: c.key, What: fmt.Sprintf(format, args...), At: at})
}

func (c *checker) event(i int, e lab.Event) {
	switch e.Kind {
	case lab.Called:
		c.counts.calls++
		c.late[e.Call] = c.first >= 0
	case lab.Overlap:
		c.fail(noOverlap, i, "run %s found another at work", e.Run)
	case lab.Started:
		c.start(i, e)
	case lab.Ended:
		if e.Code == 0 {
			c.counts.finishes++
			c.ended[e.Run] = true
		}
	case lab.KillCommand, lab.KillIdem, killKeeper, killAll, powerCut:
		if c.hit[e.Call] == nil {
			c.hit[e.Call] = map[lab.Kind]bool{}
		}
		c.hit[e.Call][e.Kind] = true
	case lab.MarkDone:
		c.marked = true
	case lab.Marked:
		if e.Code == 0 {
			c.counts.marks++
		}
	case lab.Returned:
		c.returned(i, e)
	}
}

// start checks that a command may start now.
func (c *checker) start(i int, e lab.Event) {
	c.counts.starts++
	if _, again := c.started[e.Run]; again {
		c.fail(noTwice, i, "run %s", e.Run)
	}
	if c.first >= 0 {
		c.fail(noRepeat, i, "run %s, after %q", e.Run, c.events[c.first])
	}
	if last, ok := c.started[c.lastRun]; ok {
		if e.Code <= c.events[last].Code {
			c.fail(noFence, i, "run %s has the fence %d, after %q", e.Run, e.Code, c.events[last])
		}
		killed := c.hit[c.lastCall]
		if !c.rerun && c.ended[c.lastRun] && !killed[lab.KillCommand] && !killed[killAll] && !killed[powerCut] && !c.cause(last) {
			c.fail(noCause, i, "run %s, after %q, whose command finished", e.Run, c.events[last])
		}
	}
	c.started[e.Run] = i
	c.lastRun, c.lastCall = e.Run, e.Call
}

// cause reports whether a mark explains a start after the given one. A mark explains one
// start only.
func (c *checker) cause(last int) bool {
	begin := -1
	for i, e := range c.events {
		switch e.Kind {
		case lab.MarkRetry:
			begin = i
		case lab.Marked:
			if e.Code == 0 && i > last && begin >= 0 && !c.used[begin] {
				c.used[begin] = true
				return true
			}
		}
	}
	return false
}

// returned checks the end of a call. e.Run is the run whose output it gave, "" for none.
func (c *checker) returned(i int, e lab.Event) {
	late := c.late[e.Call]
	killed := c.hit[e.Call]
	switch e.Code {
	case 0:
		if e.Run != "" && !c.ended[e.Run] {
			c.fail(noInvention, i, "call %s succeeded by run %s", e.Call, e.Run)
		}
		if e.Run == "" && !c.marked {
			c.fail(noInvention, i, "call %s succeeded without output", e.Call)
		}
		if c.first < 0 {
			c.first, c.reply = i, e.Run
			return
		}
		c.counts.replays++
		if e.Run != c.reply {
			c.fail(noDifference, i, "call %s got run %q, an earlier one %q", e.Call, e.Run, c.reply)
		}
		return
	case lab.ExitLedger:
		c.counts.refused++
		return
	case lab.ExitBusy:
		c.counts.busy++
	case lab.ExitInterrupted:
		c.counts.unknown++
		if c.rerun {
			c.fail(noOddity, i, "call %s: status %d under rerun", e.Call, e.Code)
		}
	case lab.ExitUnrecorded:
		c.counts.unrecorded++
	case commandFails:
	case hosts.Dead:
		return
	case -lab.SigKill:
		if len(killed) == 0 {
			c.fail(noOddity, i, "call %s died of a signal that the test did not send", e.Call)
		}
		return
	default:
		c.fail(noOddity, i, "call %s: status %d", e.Call, e.Code)
	}
	if late {
		c.fail(noLoss, i, "call %s: status %d, after %q", e.Call, e.Code, c.events[c.first])
	}
}
