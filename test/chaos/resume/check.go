package resume

import (
	"fmt"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// The promises, as the figures name them.
const (
	noOverlap   = "overlapping executions of a key"
	noSecond    = "second effects that were not asked for"
	noLoss      = "effects that are missing"
	noUnknown   = "starts that the ledger does not know"
	noInvention = "successes without an effect"
	noSecondRun = "attempts after a recorded success"
	noOrder     = "histories that are in no order"
	noValue     = "values that differ from those of the effect"
	noStanding  = "rounds that did not end"
	noOddity    = "unexpected ends of a call"
	noFault     = "faults of the ledger"
	noLeft      = "processes, files and locks left behind"
)

var promises = []string{noOverlap, noSecond, noLoss, noUnknown, noInvention, noSecondRun, noOrder, noValue, noStanding, noOddity, noFault, noLeft}

// check tests the promises about one key. It gets the events of its commands and calls, and
// its history in the ledger. done reports whether the last call has found the key done.
func check(key string, events []lab.Event, attempts []rig.Attempt, done bool) (effects int, faults []lab.Fault) {
	fail := func(promise string, at int, format string, args ...any) {
		faults = append(faults, lab.Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: at})
	}
	recorded := map[string]rig.Attempt{}
	succeeded := ""
	for _, a := range attempts {
		if succeeded != "" {
			fail(noSecondRun, -1, "%s, after the success of %s", a.Run, succeeded)
		}
		recorded[a.Run] = a
		if a.State == "succeeded" {
			succeeded = a.Run
		}
	}
	worked := map[string]bool{}
	last := "" // the run with the latest effect
	for i, e := range events {
		switch e.Kind {
		case lab.Overlap:
			fail(noOverlap, i, "run %s found another at work", e.Run)
		case lab.Started:
			if recorded[e.Run].Run == "" {
				fail(noUnknown, i, "run %s", e.Run)
			}
		case lab.Worked:
			// An attempt that is recorded as failed is run again: the killer has ended its
			// command after the effect, and idem has seen a death by a signal.
			if last != "" && !failed(recorded[last]) {
				fail(noSecond, i, "run %s, after that of %s, which is recorded as %q", e.Run, last, recorded[last].State)
			}
			effects, last, worked[e.Run] = effects+1, e.Run, true
		case lab.Returned:
			if e.Run != last && !(e.Run == "" && recorded[last].State != "succeeded") {
				fail(noValue, i, "a step gave %q", e.Run)
			}
		}
	}
	for _, a := range attempts {
		if a.State == "succeeded" && a.Reason != "marked" && !worked[a.Run] {
			fail(noInvention, -1, "run %s", a.Run)
		}
	}
	if done && effects == 0 {
		fail(noLoss, -1, "it counts as done, and no command had an effect")
	}
	return effects, faults
}

// failed reports whether idem has seen an attempt fail.
func failed(a rig.Attempt) bool { return a.State == "failed" && a.Reason != "lost" }

// neverStarted returns the number of attempts whose command never started.
func neverStarted(events []lab.Event, attempts []rig.Attempt) (n int) {
	started := map[string]bool{}
	for _, e := range events {
		started[e.Run] = started[e.Run] || e.Kind == lab.Started
	}
	for _, a := range attempts {
		if (a.State == "running" || a.Reason == "lost") && !started[a.Run] {
			n++
		}
	}
	return n
}
