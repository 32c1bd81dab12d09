package kill

import (
	"fmt"

	"idem/test/chaos/lab"
)

// policy is the choice of flags of all callers of a key.
type policy struct {
	rerunInterrupted bool // --on-interrupted rerun, else refuse
	rerunFailed      bool // --on-failure rerun, else refuse
}

func (p policy) String() string {
	choice := map[bool]string{true: "rerun", false: "refuse"}
	return fmt.Sprintf("--on-interrupted %s --on-failure %s", choice[p.rerunInterrupted], choice[p.rerunFailed])
}

// The promises, as the figures name them.
const (
	noOverlap     = "overlapping executions"
	noRepeat      = "starts after an acknowledged success"
	noCause       = "starts without a cause"
	noSecondEnd   = "second finishes under refuse, not asked for"
	noInvention   = "successes without a finish"
	noOddity      = "unexpected ends of a call"
	noLoss        = "acknowledged successes that the ledger has lost"
	noUnknown     = "starts that the ledger does not know"
	noSecondRun   = "attempts after a recorded success"
	noDifference  = "replies that differ from the first"
	noUnreadable  = "faults of the ledger"
	noLeftovers   = "files, locks, descriptors and processes left behind"
	noStanding    = "keys that did not end"
	noFalseReader = "failed calls of idem list"
	noDisorder    = "histories that are in no order"
)

// promises lists the promises in the order of the table.
var promises = []string{
	noOverlap, noRepeat, noCause, noSecondEnd, noSecondRun, noInvention, noDifference, noDisorder,
	noOddity, noLoss, noUnknown, noUnreadable, noFalseReader, noLeftovers, noStanding,
}

// counts has the figures of one journal.
type counts struct {
	calls, starts, finishes, failures, settled int
}

func (c *counts) add(d counts) {
	c.calls += d.calls
	c.starts += d.starts
	c.finishes += d.finishes
	c.failures += d.failures
	c.settled += d.settled
}

// check tests the promises on the journal of one key. It uses nothing that idem has
// written.
func check(key string, p policy, events []lab.Event) (counts, []lab.Fault) {
	c := &checker{key: key, policy: p, events: events}
	c.run()
	return c.counts, c.faults
}

type checker struct {
	key    string
	policy policy
	events []lab.Event
	counts counts
	faults []lab.Fault
}

func (c *checker) fail(promise string, at int, format string, args ...any) {
	c.faults = append(c.faults, lab.Fault{Promise: promise, Key: c.key, What: fmt.Sprintf(format, args...), At: at})
}

func (c *checker) run() {
	acknowledged := -1 // the first event that acknowledged a success
	finished := false  // a command has succeeded, or a mark says so
	last := -1         // the latest start
	used := map[int]bool{}
	var first, uncaused bool // there is a finish; there was a start without a cause since then
	for i, e := range c.events {
		switch e.Kind {
		case lab.Called:
			c.counts.calls++
		case lab.Overlap:
			c.fail(noOverlap, i, "run %s found another at work", e.Run)
		case lab.Leaked:
			c.fail(noLeftovers, i, "the command got %d descriptors of the ledger that are not its own", e.Code)
		case lab.Started:
			c.counts.starts++
			if acknowledged >= 0 {
				c.fail(noRepeat, i, "run %s, after %q", e.Run, c.events[acknowledged])
			}
			if last >= 0 && !c.cause(last, i, used) {
				c.fail(noCause, i, "run %s, after %q", e.Run, c.events[last])
				uncaused = true
			}
			last = i
		case lab.Ended:
			if e.Code != 0 {
				c.counts.failures++
				break
			}
			c.counts.finishes++
			finished = true
			if first && uncaused && !c.policy.rerunInterrupted {
				c.fail(noSecondEnd, i, "run %s", e.Run)
			}
			first, uncaused = true, false
		case lab.Returned:
			c.checkReturn(i, finished)
			if e.Code == 0 && acknowledged < 0 {
				acknowledged = i
			}
		case lab.Marked:
			if e.Code != 0 {
				break
			}
			c.counts.settled++
			if c.markOf(i) == lab.MarkDone {
				if acknowledged < 0 {
					acknowledged = i
				}
			}
		case lab.MarkDone:
			// The mark takes effect before its end.
			finished = finished || c.succeeds(i)
		}
	}
}

// cause reports whether the events between two starts explain the second one: a
// failure or an interruption that the policy reruns, or a mark by the operator.
func (c *checker) cause(last, now int, used map[int]bool) bool {
	f := c.possibleEnds(c.events[last].Call, now)
	if f.failed && c.policy.rerunFailed || f.interrupted && c.policy.rerunInterrupted {
		return true
	}
	// A mark that was in progress between the two is a cause, too, but of one start only.
	for i := last; i < len(c.events); i++ {
		if e := c.events[i]; e.Kind != lab.Marked || e.Code != 0 || used[i] {
			continue
		}
		begin := c.beginOf(i)
		mark := c.events[begin].Kind
		if begin < now && (mark == lab.MarkRetry || mark == lab.MarkFailed && c.policy.rerunFailed) {
			used[i] = true
			return true
		}
	}
	return false
}

// possibleEnds has the ways in which the execution of a call may have ended. Several may
// be true. If idem is killed about when its command ends, the journal does not show the
// order of the two events.
type possibleEnds struct {
	succeeded   bool // idem may have seen its command succeed
	failed      bool // idem may have seen its command fail
	interrupted bool // idem may have been killed before it had seen the end
}

func (c *checker) possibleEnds(call string, before int) possibleEnds {
	var f possibleEnds
	var kill possibleEnds // how the kill in progress may end the execution; kills of one key do not overlap
	idemDead := false     // a kill of idem is known to have succeeded
	for _, e := range c.events[:before] {
		if e.Call != call {
			continue
		}
		switch e.Kind {
		case lab.KillIdem:
			kill.interrupted = true
		case lab.KillCommand:
			kill.failed = !idemDead
		case lab.Killed:
			if e.Code != 0 {
				f = f.or(kill)
				idemDead = idemDead || kill.interrupted
			}
			kill = possibleEnds{}
		case lab.Ended:
			f.succeeded = f.succeeded || e.Code == 0 && !idemDead
			f.failed = f.failed || e.Code != 0 && !idemDead
		case lab.Returned:
			if e.Code >= 0 { // idem was not killed
				f.interrupted, kill.interrupted = false, false
			}
		}
	}
	return f.or(kill)
}

func (f possibleEnds) or(g possibleEnds) possibleEnds {
	return possibleEnds{f.succeeded || g.succeeded, f.failed || g.failed, f.interrupted || g.interrupted}
}

// checkReturn checks the status of a call of idem.
func (c *checker) checkReturn(at int, finished bool) {
	e := c.events[at]
	switch {
	case e.Code == 0:
		if !finished {
			c.fail(noInvention, at, "call %s succeeded", e.Call)
		}
	case e.Code == -lab.SigKill:
		if f := c.possibleEnds(e.Call, at); !f.failed && !f.interrupted {
			c.fail(noOddity, at, "call %s died of a signal that the test did not send", e.Call)
		}
	case e.Code == lab.ExitBusy, e.Code == commandFails:
	case e.Code == lab.ExitInterrupted && !c.policy.rerunInterrupted, e.Code == lab.ExitFailed && !c.policy.rerunFailed:
	default:
		c.fail(noOddity, at, "call %s: status %d", e.Call, e.Code)
	}
}

// beginOf returns the first event of the mark whose last event is end. A key has one
// operator, so it is the latest event of a mark before end.
func (c *checker) beginOf(end int) int {
	for i := end - 1; i >= 0; i-- {
		switch c.events[i].Kind {
		case lab.MarkRetry, lab.MarkDone, lab.MarkFailed:
			return i
		}
	}
	return end
}

func (c *checker) markOf(end int) lab.Kind { return c.events[c.beginOf(end)].Kind }

// succeeds reports whether the mark that begins at an event may have succeeded.
func (c *checker) succeeds(begin int) bool {
	for _, e := range c.events[begin:] {
		if e.Kind == lab.Marked {
			return e.Code == 0
		}
	}
	return true // the end of the mark is not known
}
