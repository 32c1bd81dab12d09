package jobs

import (
	"time"

	"idem/ledger"
)

// Result is how an attempt ended, or that it has not ended.
type Result uint8

// The results. Interrupted is that of an attempt whose outcome is unknown. Marked is that
// of a mark: the key was settled without running its command.
const (
	Succeeded Result = iota
	Failed
	Timeout
	Running
	Interrupted
	Marked
)

// Results are all results, with the words that users know.
var Results = [...]string{Succeeded: "succeeded", Failed: "failed", Timeout: "timeout", Running: "running", Interrupted: "interrupted", Marked: "marked"}

func (r Result) String() string { return Results[r] }

// Unknown is the duration and the exit status of a run that has none.
const Unknown = -1

// Run is an attempt or a mark of a job.
type Run struct {
	Lane   int       // the index in Summary.Lanes; of no use in Options.Earlier
	Job    Lane      // the job, also without a lane in the summary; Per is that of this key
	ID     ledger.ID // of the record, which may be a step or an item
	Number int       // 0 for a mark
	Result Result
	Start  time.Time
	Took   time.Duration // Unknown without a recorded start and end
	Exit   int           // Unknown without a recorded exit status
	Host   string
	// Inner reports whether the attempt is a part of an attempt of a record above. It then
	// counts in no figure of the job.
	Inner bool
	// Record is the record if this is its current attempt, else nil.
	Record *ledger.Record
}

// runOf returns the run of an entry.
func runOf(e ledger.Entry) Run {
	at := e.Attempt
	r := Run{ID: e.ID, Number: at.Number, Start: at.Started, Took: Unknown, Exit: Unknown, Host: at.Owner.Host, Inner: e.Inner, Record: e.Record}
	switch {
	case at.Number == 0:
		r.Result = Marked
		return r
	case at.State == ledger.Running && (e.Record == nil || e.Record.Phase() != ledger.PhaseRunning), at.Reason == ledger.ReasonLost:
		r.Result = Interrupted
		return r
	case at.State == ledger.Running:
		r.Result = Running
		return r
	case at.State == ledger.Succeeded:
		r.Result = Succeeded
	case at.Reason == ledger.ReasonTimeout:
		r.Result = Timeout
	default:
		r.Result = Failed
	}
	if !at.Ended.IsZero() {
		r.Took = max(0, at.Ended.Sub(at.Started)) // the clock may have been set back
		if at.Reason != ledger.ReasonTransaction {
			r.Exit = at.ExitCode
		}
	}
	return r
}
