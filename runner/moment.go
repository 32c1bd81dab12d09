package runner

import (
	"context"
	"time"

	"idem/ledger"
)

// Moment is the input of Decide besides the record, the call's fingerprint and its
// policy.
type Moment struct {
	Now     time.Time
	Holding bool   // the call holds the claim
	Tried   int    // attempts since the last success
	Answer  Answer // of the probe
	// Around are the run ids of the attempts that the call is made inside of. A call
	// that waited for one of them would wait for itself.
	Around []string
	Asked  Asked // see Policy.Fresh
}

// Asked identifies what was recorded when a call began: the first record that it read.
// Attempts are compared by it, not by the clock.
type Asked struct {
	Generation int64
	Attempts   int
	RunID      string // of the current attempt or mark
}

// askedOn returns the Asked of a call that reads rec first.
func askedOn(rec ledger.Record) Asked {
	return Asked{rec.Generation, rec.Attempts, rec.Current.RunID}
}

// before reports whether the current attempt of rec began after a. A mark is not an
// attempt, so nothing began. An attempt that began later has a higher number, unless
// the one that a names was abandoned: then it has the number again, with another run
// id.
func (a Asked) before(rec ledger.Record) bool {
	cur := rec.Current
	return cur.Number > 0 && (rec.Generation != a.Generation || cur.Number >= a.Attempts && cur.RunID != a.RunID)
}

// decide calls Decide for a moment in which Holding and Answer are set. Counting the
// attempts since the last success requires the history. decide reads it only if the
// total number of attempts already reaches Policy.MaxAttempts.
func (c *call) decide(ctx context.Context, rec ledger.Record, m Moment) (Decision, error) {
	m.Now, m.Tried, m.Asked = c.Now(), rec.Attempts, c.asked
	if rec.Alive { // a leftover of an attempt that is over does not run inside of it
		m.Around = c.Inside.Attempts
	}
	d := Decide(rec, c.Inputs.Fingerprint, c.Policy, m)
	if d.Reason != ReasonExhausted {
		return d, nil
	}
	var err error
	if m.Tried, err = c.countTried(ctx, rec); err != nil {
		return d, err
	}
	return Decide(rec, c.Inputs.Fingerprint, c.Policy, m), nil
}

// countTried returns the number of attempts since the last success of a key.
func (c *call) countTried(ctx context.Context, rec ledger.Record) (int, error) {
	history, err := c.Ledger.Attempts(ctx, rec.ID)
	return attemptsTried(history, rec.Current.RunID), err
}

// attemptsTried returns the number of attempts after the last success in a history. It
// stops after the attempt with the run id upTo, because later ones did not exist when
// the record was read. A mark is not an attempt, but a mark of success resets the
// count.
func attemptsTried(history []ledger.Attempt, upTo string) int {
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
