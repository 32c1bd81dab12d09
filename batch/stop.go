package batch

import "idem/runner"

// Tolerance says after which failures a batch starts nothing more. Its zero value
// tolerates all.
type Tolerance struct {
	Failures int          // the number of failed items; 0: no limit
	Percent  float64      // the share of failed items among those that ran; 0: no limit
	Codes    runner.Codes // a failure with one of these statuses is the last one
}

// minForPercent is the number of items from which on their share of failures counts.
const minForPercent = 20

// limits reports whether a failure may end the batch.
func (t Tolerance) limits() bool { return t.Failures > 0 || t.Percent > 0 || len(t.Codes) > 0 }

// exceeded reports whether nothing more starts after an item that failed with a status.
// ran and failed include it.
func (t Tolerance) exceeded(ran, failed, status int) bool {
	switch {
	case t.Failures > 0 && failed >= t.Failures, t.Codes.Has(status):
		return true
	default:
		return t.Percent > 0 && ran >= minForPercent && 100*float64(failed) >= t.Percent*float64(ran)
	}
}

// Stop is why a batch started nothing more before the end of its input.
type Stop int

// The reasons. The first one counts.
const (
	NotStopped Stop = iota
	ByFailures      // see Tolerance
	ByLimit         // Batch.Limit is reached
	ByCommand       // the command cannot be started
	ByInput         // a line of the input cannot be used, or the input cannot be read; the items before it run
	ByLedger        // the ledger failed
	BySignal        // a signal that ends idem came
)
