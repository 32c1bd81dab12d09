package batch

import "syscall"

// Fate is what became of an item in a call.
type Fate int

// The fates. An item gets one of them when the call is done with it.
const (
	Done          Fate = iota // it ran and succeeded
	DoneBefore                // it had succeeded before
	DoneElsewhere             // another call ran it at the same time
	Failed                    // it ran and failed, or it could not be started because it is too long
	FailedBefore              // it had failed before, and the policy does not run it again
	Refused                   // the policy refuses it for another reason
	Interrupted               // it may be done, and the policy does not run it again
	Mismatch                  // it is recorded with other fields
	Conflict                  // it was earlier in the input with other fields
	Busy                      // another call holds it or its mutex, and this call does not wait
	Duplicate                 // the same item was earlier in the input
	LeftOut                   // Batch.Only excludes it
	NotReached                // the batch stopped before it
	Unrecorded                // it ran, and its outcome is not in the ledger
	fates
)

// Counts has the number of items with each fate.
type Counts [fates]int

// total returns the number of items that the call is done with.
func (c *Counts) total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// Result is the result of a batch.
type Result struct {
	Counts   Counts
	Ran      int  // items that ran
	Attempts int  // attempts that ran
	BadLines int  // lines of the input; see items.BadLine
	Read     int  // items that were read
	Complete bool // the list was read to its end
	Stop     Stop
	// Command is why the command cannot be started: a *proc.StartError.
	Command error
	// Input is the *items.BadLine that stopped the batch, or the fault of the input.
	Input error
	// Fault is the first fault of the ledger, other than one that left an item Unrecorded.
	Fault error
	// Signal is a signal that ends a process by default and came for idem; 0 means none.
	Signal syscall.Signal
}

// Verdict is the result of a whole batch for its caller.
type Verdict int

// The verdicts. The first one that applies is that of the batch.
const (
	VerdictLedger      Verdict = iota // the ledger failed
	VerdictUnrecorded                 // the outcome of an item could not be recorded
	VerdictSignal                     // a signal ended the batch
	VerdictCommand                    // the command cannot be started
	VerdictInterrupted                // items are interrupted
	VerdictMismatch                   // items have other fields than before, or lines are bad
	VerdictRefused                    // the policy refuses items
	VerdictFailed                     // items failed
	VerdictBusy                       // other calls hold items
	VerdictDone                       // all items are done
)

// Verdict returns the verdict. Those that ask for a person precede those that another call
// mends.
func (r *Result) Verdict() Verdict {
	switch c := &r.Counts; {
	case r.Fault != nil:
		return VerdictLedger
	case c[Unrecorded] > 0:
		return VerdictUnrecorded
	case r.Signal != 0:
		return VerdictSignal
	case r.Command != nil:
		return VerdictCommand
	case c[Interrupted] > 0:
		return VerdictInterrupted
	case c[Mismatch] > 0, c[Conflict] > 0, r.BadLines > 0, r.Input != nil:
		return VerdictMismatch
	case c[Refused] > 0:
		return VerdictRefused
	case c[Failed] > 0, c[FailedBefore] > 0:
		return VerdictFailed
	case c[Busy] > 0:
		return VerdictBusy
	default:
		return VerdictDone
	}
}
