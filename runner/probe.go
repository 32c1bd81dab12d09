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
	StoppedBy  proc.Stop // Probe.Timeout, or the loss of the claim
	NotStarted error     // why it could not be started
	Lost       error     // why its exit status is unknown
}

// answer returns the answer that the end of a probe stands for.
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

// probe asks the probe about a record of unknown outcome. The claim is held, so no
// other call probes or runs the key at the same time. If the probe answers that the
// key is done, probe records a success. Nothing is written before that, so the key
// does not change if idem is killed. probe returns the resulting record and decision.
func (c *call) probe(ctx context.Context, claim ledger.Claim, rec ledger.Record) (ledger.Record, Decision, *ProbeEnd, error) {
	out := capture{newFile: c.Backlog}
	defer out.close()
	var captured ledger.Capture
	end, err := c.askProbe(ctx, claim, rec, &out, &captured)
	if err != nil {
		return rec, Decision{}, nil, err
	}
	answered := Moment{Holding: true, Answer: end.answer()}
	d, err := c.decide(ctx, rec, answered)
	if err != nil || d.Action != ActionSettle {
		return rec, d, end, err
	}
	if out.err != nil {
		return rec, d, end, &ReplayError{out.err}
	}
	rec.Current, err = claim.Mark(ctx, ledger.Mark{
		Expect: rec, State: ledger.Succeeded, Reason: ledger.ReasonProbed, RunID: c.NewRunID(), Owner: c.Owner(),
		Fingerprint: c.Inputs.Fingerprint, Inputs: c.Inputs.Encoded, Stdout: out.reader(), MaxOutput: c.Output.recordLimit(),
		Capture: func() ledger.Capture { return captured },
	})
	if err != nil {
		return rec, d, end, &ReplayError{err}
	}
	d, err = c.decide(ctx, rec, answered)
	return rec, d, end, err
}

// askProbe runs the probe, writes its output to out, and sets captured to how
// complete out is. A signal that ends idem goes to the probe too. Then the answer
// does not count, and the error is a *proc.SignalError. A probe that cannot be
// started counts as one that cannot tell.
func (c *call) askProbe(ctx context.Context, claim ledger.Claim, rec ledger.Record, out *capture, captured *ledger.Capture) (*ProbeEnd, error) {
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return &ProbeEnd{NotStarted: err}, nil
	}
	defer stdin.Close()
	cmd := proc.Shell(c.Probe.Command)
	at := AttemptOf(rec)
	at.Event = "probe"
	cmd.Env = c.Environ(at)
	cmd.Stdin, cmd.Stderr = stdin, c.Live.Stderr
	kept, unkept := c.Redact.Stream(out.write), int64(0)
	cmd.Record = func(stream proc.Stream, p []byte) {
		switch {
		case stream != proc.Stdout:
		case c.Output.recordLimit() == 0:
			unkept += int64(len(p))
		default:
			kept.Write(p)
		}
	}
	cmd.Backlog, cmd.OwnGroup, cmd.Timeout, cmd.KillAfter = c.Backlog, true, c.Probe.Timeout, c.Limits.KillAfter

	ctx, cancel := withDone(ctx, claim.Lost())
	defer cancel()
	signals := proc.Catch()
	end, err := cmd.Run(ctx, signals)
	if end != nil {
		kept.Flush()
		*captured = captureOf(end, kept.Took())
		captured.Unread.Stdout += unkept
		captured.Unread.Stderr = 0 // stderr is not recorded
		_ = end.Flush()            // a message about lost stderr could not say where to find it
	}
	signals.Stop()
	if sig, ok := signals.Ended(); ok {
		return nil, &proc.SignalError{Signal: sig}
	}
	switch {
	case end == nil && ctx.Err() != nil: // the claim was lost before the probe was started
		return &ProbeEnd{StoppedBy: proc.ByContext}, nil
	case end == nil:
		return &ProbeEnd{NotStarted: err}, nil
	}
	return &ProbeEnd{Status: end.Status, StoppedBy: end.StoppedBy, Lost: err}, nil
}
