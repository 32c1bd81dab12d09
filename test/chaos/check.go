package main

import "fmt"

// policy is what the callers of a key ask for.
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
	noStanding    = "keys that came to no end"
	noFalseReader = "failed calls of idem list"
	noDisorder    = "histories that are in no order"
)

// promises has them all, in the order of the table.
var promises = []string{
	noOverlap, noRepeat, noCause, noSecondEnd, noSecondRun, noInvention, noDifference, noDisorder,
	noOddity, noLoss, noUnknown, noUnreadable, noFalseReader, noLeftovers, noStanding,
}

// fault is a broken promise.
type fault struct {
	promise string
	key     string
	what    string
	at      int // the event of the key's journal that shows it, -1 for none
}

// counts are the figures of one journal.
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

// check holds the journal of one key against the promises. It knows nothing of
// how idem works and trusts nothing that idem has written.
func check(key string, p policy, events []event) (counts, []fault) {
	c := &checker{key: key, policy: p, events: events}
	c.run()
	return c.counts, c.faults
}

type checker struct {
	key    string
	policy policy
	events []event
	counts counts
	faults []fault
}

func (c *checker) complain(promise string, at int, format string, args ...any) {
	c.faults = append(c.faults, fault{promise, c.key, fmt.Sprintf(format, args...), at})
}

func (c *checker) run() {
	acknowledged := -1 // the event that first told somebody of a success
	finished := false  // a body has got to its end, or somebody said so
	last := -1         // the latest start
	used := map[int]bool{}
	var first, uncaused bool // since the first finish: there is one, there was a start without a cause
	for i, e := range c.events {
		switch e.kind {
		case called:
			c.counts.calls++
		case overlap:
			c.complain(noOverlap, i, "run %s found another at work", e.run)
		case leaked:
			c.complain(noLeftovers, i, "the command got %d descriptors of the ledger that are not its own", e.code)
		case started:
			c.counts.starts++
			if acknowledged >= 0 {
				c.complain(noRepeat, i, "run %s, after %q", e.run, c.events[acknowledged])
			}
			if last >= 0 && !c.cause(last, i, used) {
				c.complain(noCause, i, "run %s, after %q", e.run, c.events[last])
				uncaused = true
			}
			last = i
		case ended:
			if e.code != 0 {
				c.counts.failures++
				break
			}
			c.counts.finishes++
			finished = true
			if first && uncaused && !c.policy.rerunInterrupted {
				c.complain(noSecondEnd, i, "run %s", e.run)
			}
			first, uncaused = true, false
		case returned:
			c.ofCall(i, finished)
			if e.code == 0 && acknowledged < 0 {
				acknowledged = i
			}
		case marked:
			if e.code != 0 {
				break
			}
			c.counts.settled++
			if c.markOf(i) == markDone {
				if acknowledged < 0 {
					acknowledged = i
				}
			}
		case markDone:
			// The ledger has it some time before the end of the mark.
			finished = finished || c.succeeds(i)
		}
	}
}

// cause tells whether what happened between two starts explains the second:
// a failure that may be rerun, an interruption that may, or an operator's mark.
func (c *checker) cause(last, now int, used map[int]bool) bool {
	f := c.fate(c.events[last].call, now)
	if f.failed && c.policy.rerunFailed || f.interrupted && c.policy.rerunInterrupted {
		return true
	}
	// A mark that was being made at some time between the two, and is not the
	// cause of another start.
	for i := last; i < len(c.events); i++ {
		if e := c.events[i]; e.kind != marked || e.code != 0 || used[i] {
			continue
		}
		begin := c.beginOf(i)
		mark := c.events[begin].kind
		if begin < now && (mark == markRetry || mark == markFailed && c.policy.rerunFailed) {
			used[i] = true
			return true
		}
	}
	return false
}

// fate is how the execution of a call may have ended. More than one may be true:
// who kills idem about when its command ends cannot know what it had seen.
type fate struct {
	succeeded   bool // idem may have seen its command succeed
	failed      bool // idem may have seen its command fail
	interrupted bool // idem may have been killed before it had seen the end
}

func (c *checker) fate(call string, before int) fate {
	var f fate
	var latest kind   // of the kills, which take turns within a key
	var was fate      // before that
	idemDead := false // for certain
	for _, e := range c.events[:before] {
		if e.call != call {
			continue
		}
		switch e.kind {
		case killIdem:
			latest, was = e.kind, f
			f.interrupted = true
		case killCommand:
			latest, was = e.kind, f
			f.failed = f.failed || !idemDead
		case killed:
			if e.code == 0 {
				f = was
			} else if latest == killIdem {
				idemDead = true
			}
		case ended:
			f.succeeded = f.succeeded || e.code == 0 && !idemDead
			f.failed = f.failed || e.code != 0 && !idemDead
		case returned:
			if e.code >= 0 {
				f.interrupted = false // it was not killed after all
			}
		}
	}
	return f
}

// ofCall checks how a call of idem ended.
func (c *checker) ofCall(at int, finished bool) {
	e := c.events[at]
	switch {
	case e.code == 0:
		if !finished {
			c.complain(noInvention, at, "call %s succeeded", e.call)
		}
	case e.code == -sigKill:
		if f := c.fate(e.call, at); !f.failed && !f.interrupted {
			c.complain(noOddity, at, "call %s died of a signal that nobody sent", e.call)
		}
	case e.code == exitBusy, e.code == bodyFails:
	case e.code == exitInterrupted && !c.policy.rerunInterrupted, e.code == exitFailed && !c.policy.rerunFailed:
	default:
		c.complain(noOddity, at, "call %s: status %d", e.call, e.code)
	}
}

// beginOf returns where the mark began that ended at an event. There is one
// operator, so that it is the latest before.
func (c *checker) beginOf(end int) int {
	for i := end - 1; i >= 0; i-- {
		switch c.events[i].kind {
		case markRetry, markDone, markFailed:
			return i
		}
	}
	return end
}

func (c *checker) markOf(end int) kind { return c.events[c.beginOf(end)].kind }

// succeeds tells whether a mark that begins at an event was made.
func (c *checker) succeeds(begin int) bool {
	for _, e := range c.events[begin:] {
		if e.kind == marked {
			return e.code == 0
		}
	}
	return true // for all we know
}

// The exit statuses of idem that callers may get.
const (
	exitUsage       = 64
	exitLedger      = 69
	exitOutput      = 74
	exitBusy        = 75
	exitInterrupted = 79
	exitFailed      = 80
	exitUnrecorded  = 125

	sigKill = 9 // negative: idem died of it
)
