package runner

import (
	"context"
	"math"
	"time"

	"idem/ledger"
)

// Moment is the input of Decide besides the record, the call's fingerprint and its
// policy.
type Moment struct {
	Now     time.Time
	Holding bool // the call holds the claim
	Tried   int  // attempts since the last success
	// Age is how long ago the first of these attempts began; 0 if there is none.
	Age time.Duration
	// Retrying reports whether another call holds the key after a failure, so the failure
	// may not be its last attempt.
	Retrying bool
	Answer   Answer // of the probe
	// Verified is the answer of the verification about the attempt with the run id
	// VerifiedRun.
	Verified    Answer
	VerifiedRun string
	// Around are the run ids of the attempts that the call is made inside of. A call
	// that waited for one of them would wait for itself.
	Around   []string
	Baseline Baseline // see Policy.Fresh
	// ParentRun is the attempt of the parent that makes the call; see Policy.EveryAttempt.
	ParentRun string
}

// Baseline identifies what was recorded when a call began: the first record that it read.
// Attempts are compared by it, not by the clock.
type Baseline struct {
	Generation int64
	Attempts   int
	RunID      string // of the current attempt or mark
}

// baselineOf returns the Baseline of a call that reads rec first.
func baselineOf(rec ledger.Record) Baseline {
	return Baseline{rec.Generation, rec.Attempts, rec.Current.RunID}
}

// before reports whether the current attempt of rec began after b. A mark is not an
// attempt, so nothing began. An attempt that began later has a higher number, unless
// the one that b names was abandoned: then it has the number again, with another run
// id.
func (b Baseline) before(rec ledger.Record) bool {
	cur := rec.Current
	return cur.Number > 0 && (rec.Generation != b.Generation || cur.Number >= b.Attempts && cur.RunID != b.RunID)
}

// decide calls Decide for a moment in which Holding and Answer are set. Tried and Age
// require the history. decide first takes the greatest possible values, and reads the
// history only if they lead to a refusal.
func (c *call) decide(ctx context.Context, rec ledger.Record, m Moment) (Decision, error) {
	m.Now, m.Tried, m.Age, m.Baseline, m.ParentRun = c.Now(), rec.Attempts, 0, c.baseline, c.Origin.RunID
	if rec.Attempts > 0 {
		m.Age = math.MaxInt64
	}
	m.Retrying = rec.Retrying()
	m.Verified, m.VerifiedRun = c.verified.answer, c.verified.runID
	m.Around = c.Inside.Asked
	if rec.Phase() == ledger.PhaseRunning { // a leftover of an attempt that is over does not run inside of it
		m.Around = c.Inside.Attempts
	}
	d := Decide(rec, c.Inputs.Fingerprint, c.Policy, m)
	if d.Reason != ReasonExhausted && d.Reason != ReasonTooLate {
		return d, nil
	}
	tried, err := c.tried(ctx, rec)
	if err != nil {
		return d, err
	}
	m.Tried, m.Age = len(tried), ageOf(tried, m.Now)
	return Decide(rec, c.Inputs.Fingerprint, c.Policy, m), nil
}

// tried returns the attempts of a key since its last success.
func (c *call) tried(ctx context.Context, rec ledger.Record) ([]ledger.Attempt, error) {
	history, err := c.Ledger.Attempts(ctx, rec.ID)
	return attemptsTried(history, rec.Current.RunID), err
}

// attemptsTried returns the attempts after the last success in a history. It
// stops after the attempt with the run id upTo, because later ones did not exist when
// the record was read. A mark is not an attempt, but after a mark of success the
// attempts before it do not count.
func attemptsTried(history []ledger.Attempt, upTo string) []ledger.Attempt {
	var tried []ledger.Attempt
	for _, a := range history {
		switch {
		case a.State == ledger.Succeeded:
			tried = nil
		case a.Number > 0:
			tried = append(tried, a)
		}
		if a.RunID == upTo {
			break
		}
	}
	return tried
}

// ageOf returns the time from the start of the first attempt to now, 0 without one. After
// the clock was set back, it is at least the time from the first start to the latest one,
// and never negative.
func ageOf(tried []ledger.Attempt, now time.Time) time.Duration {
	if len(tried) == 0 {
		return 0
	}
	for _, a := range tried {
		if a.Started.After(now) {
			now = a.Started
		}
	}
	return now.Sub(tried[0].Started)
}
