package runner

import (
	"context"

	"idem/ledger"
)

// verification is the answer of the verification that a call has asked.
type verification struct {
	runID  string // the attempt that the answer is about
	answer Answer
	end    *ProbeEnd // nil if it was not asked
}

// verify asks the verification about a success. No claim is held, so replays do not
// exclude each other. The answer counts as long as the success is the current attempt of
// the key. Nothing is written, so the key does not change if idem is killed.
func (c *call) verify(ctx context.Context, rec ledger.Record) error {
	end, _, err := c.ask(ctx, nil, c.Verification, EventVerify, rec, func([]byte) {})
	if err == nil {
		c.verified = verification{rec.Current.RunID, end.answer(), end}
	}
	return err
}

// recordUnverified records that a success could not be verified, with the claim held. The
// mark keeps the inputs of the success, so from here on any call with them runs the key.
// Its exit code is 1 if the verification answered that the effect is gone, else 0. It
// returns the resulting record and decision.
func (c *call) recordUnverified(ctx context.Context, claim ledger.Claim, rec ledger.Record) (ledger.Record, Decision, error) {
	m := ledger.Mark{
		Expect: rec, State: ledger.None, Reason: ledger.ReasonUnverified, RunID: c.NewRunID(), Owner: c.Owner(),
		Fingerprint: rec.Current.Fingerprint, Inputs: rec.Current.Inputs, Origin: c.Origin,
	}
	if c.verified.answer == AnswerNotDone {
		m.ExitCode = 1
	}
	mark, err := claim.Mark(ctx, m)
	if err != nil {
		return rec, Decision{}, &ReplayError{err}
	}
	rec.Current = mark
	d, err := c.decide(ctx, rec, Moment{Holding: true})
	return rec, d, err
}
