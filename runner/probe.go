package runner

import (
	"context"
	"os"

	"idem/ledger"
	"idem/proc"
)

// ProbeEnd is how a probe ended.
type ProbeEnd struct {
	proc.Status
	StoppedBy  proc.Stop // by ProbeTimeout, or because the claim was lost
	NotStarted error     // why it could not be started
	Lost       error     // why its exit status is not known
}

// answer is what a probe has said by its end.
func (e ProbeEnd) answer() Answer {
	switch {
	case e.StoppedBy != proc.NotStopped, e.NotStarted != nil, e.Lost != nil, e.ExitCode > 1: // also a death by signal
		return AnswerUnknown
	case e.ExitCode == 1:
		return AnswerNotDone
	default:
		return AnswerDone
	}
}

// probe asks the probe about a record of unknown outcome, under the claim, so
// that nobody else asks or runs meanwhile. It records the success that the probe
// tells of, and returns the record and the decision after that. Until then
// nothing is written: whoever kills us leaves the key as it was.
func (c *Call) probe(ctx context.Context, l ledger.Ledger, claim ledger.Claim, rec ledger.Record) (ledger.Record, Decision, *ProbeEnd, error) {
	out := capture{place: c.Backlog}
	defer out.close()
	var told ledger.Capture
	end, err := c.ask(ctx, claim, rec, &out, &told)
	if err != nil {
		return rec, Decision{}, nil, err
	}
	answered := Moment{Holding: true, Answer: end.answer()}
	d, err := c.decide(ctx, l, rec, answered)
	if err != nil || d.Action != ActionSettle {
		return rec, d, end, err
	}
	if out.err != nil {
		return rec, d, end, &ReplayError{out.err}
	}
	rec.Current, err = claim.Mark(ctx, ledger.Mark{
		Expect: rec, State: ledger.Succeeded, Reason: ledger.ReasonProbed, RunID: c.RunID(), Owner: c.Owner(),
		Fingerprint: c.Fingerprint, Inputs: c.Inputs, Stdout: out.reader(), MaxOutput: c.keeps(),
		Capture: func() ledger.Capture { return told },
	})
	if err != nil {
		return rec, d, end, &ReplayError{err}
	}
	d, err = c.decide(ctx, l, rec, answered)
	return rec, d, end, err
}

// ask runs the probe, and says in told how complete out is. A signal that is meant
// to end idem goes to the probe as well, whose answer then counts for nothing. A
// probe that cannot be started cannot tell: the ledger has no part in that.
func (c *Call) ask(ctx context.Context, claim ledger.Claim, rec ledger.Record, out *capture, told *ledger.Capture) (*ProbeEnd, error) {
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return &ProbeEnd{NotStarted: err}, nil
	}
	defer stdin.Close()
	cmd := proc.Shell(c.Probe)
	at := AttemptOf(rec)
	at.Event = "probe"
	cmd.Env = c.Environ(at)
	cmd.Stdin, cmd.Stderr = stdin, c.Stderr
	kept, unkept := c.Redact.Stream(out.write), int64(0)
	cmd.Record = func(stream proc.Stream, p []byte) {
		switch {
		case stream != proc.Stdout:
		case c.keeps() == 0:
			unkept += int64(len(p))
		default:
			kept.Write(p)
		}
	}
	cmd.Backlog, cmd.OwnGroup, cmd.Timeout, cmd.KillAfter = c.Backlog, true, c.ProbeTimeout, c.KillAfter

	ctx, cancel := endedBy(ctx, claim.Lost())
	defer cancel()
	signals := proc.Catch()
	end, err := cmd.Run(ctx, signals)
	if end != nil {
		kept.Flush()
		*told = captureOf(end, kept.Took())
		told.Unread.Stdout += unkept
		told.Unread.Stderr = 0 // it is not recorded
		_ = end.Flush()        // its words are not recorded, so no message can say where to find them
	}
	signals.Stop()
	if sig, ok := signals.Ended(); ok {
		return nil, &proc.SignalError{Signal: sig}
	}
	switch {
	case end == nil && ctx.Err() != nil: // the claim was lost before it was started
		return &ProbeEnd{StoppedBy: proc.ByContext}, nil
	case end == nil:
		return &ProbeEnd{NotStarted: err}, nil
	}
	return &ProbeEnd{Status: end.Status, StoppedBy: end.StoppedBy, Lost: err}, nil
}
