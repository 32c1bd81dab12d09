package runner

import (
	"context"
	"time"

	"idem/ledger"
)

// Moment is what Decide depends on besides the record, the call's fingerprint and
// its policy.
type Moment struct {
	Now     time.Time
	Holding bool   // the call holds the claim
	Tried   int    // attempts since the last success
	Answer  Answer // of the probe
	// Around are the run ids of the attempts that the call is made inside of:
	// a call that waited for one of them would wait for itself.
	Around []string
}

// decide calls Decide for a moment of which Holding and Answer are given. Counting
// the attempts since the last success needs the history. It is read only where the
// number of all attempts, which is no smaller, is too many.
func (c *call) decide(ctx context.Context, rec ledger.Record, m Moment) (Decision, error) {
	m.Now, m.Tried = c.Now(), rec.Attempts
	if rec.Alive { // a call is not inside of an attempt that is over, whatever that left behind
		m.Around = c.Inside.Attempts
	}
	d := Decide(rec, c.Inputs.Fingerprint, c.Policy, m)
	if d.Reason != ReasonExhausted {
		return d, nil
	}
	var err error
	if m.Tried, err = c.tried(ctx, rec); err != nil {
		return d, err
	}
	return Decide(rec, c.Inputs.Fingerprint, c.Policy, m), nil
}

// tried returns how many attempts a key has had since its last success.
func (c *call) tried(ctx context.Context, rec ledger.Record) (int, error) {
	history, err := c.Ledger.Attempts(ctx, rec.ID)
	return countTried(history, rec.Current.RunID), err
}

// countTried counts the attempts after the last success in a history, up to the one
// with the given run id: later ones were not there when the record was read. A mark
// is not an attempt, but a mark of success begins the count again.
func countTried(history []ledger.Attempt, upTo string) int {
	n := 0
	for _, a := range history {
		switch {
		case a.State == ledger.Succeeded:
			n = 0
		case a.Number > 0:
			n++
		}
		if a.RunID == upTo {
			break
		}
	}
	return n
}
