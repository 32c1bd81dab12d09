package runner

import (
	"context"
	"os"

	"idem/ledger"
	"idem/proc"
)

// ProbeEnd is how a probe or a verification ended.
type ProbeEnd struct {
	proc.Status
	StoppedBy  proc.Stop // Probe.Timeout, or the loss of the claim
	NotStarted error     // why it could not be started
	Lost       error     // why its exit status is unknown
}

// answer returns the answer that the end of a probe or a verification means.
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
		Capture: func() ledger.Capture { return captured }, Origin: c.Origin,
	})
	if err != nil {
		return rec, d, end, &ReplayError{err}
	}
	d, err = c.decide(ctx, rec, answered)
	return rec, d, end, err
}

// askProbe runs the probe, writes its output to out, and sets captured to how
// complete out is.
func (c *call) askProbe(ctx context.Context, claim ledger.Claim, rec ledger.Record, out *capture, captured *ledger.Capture) (*ProbeEnd, error) {
	kept, unkept := c.Redact.Stream(out.write), int64(0)
	end, unread, err := c.ask(ctx, claim, c.Probe, EventProbe, rec, func(p []byte) {
		if c.Output.recordLimit() == 0 {
			unkept += int64(len(p))
		} else {
			kept.Write(p)
		}
	})
	if unread != nil {
		kept.Flush()
		*captured = captureOf(unread, kept.Took())
		captured.Unread.Stdout += unkept
		captured.Unread.Stderr = 0 // stderr is not recorded
	}
	return end, err
}

// ask runs the shell command of a question about a record. It calls stdout with the
// command's output, and returns how the command ended, once as an answer and, if it was
// started, once in full. A signal that ends idem goes to the command too. Then the answer
// does not count, and the error is a *proc.SignalError. A command that cannot be started
// counts as one that cannot tell.
//
// claim is the one under which the question is asked, nil without a claim.
func (c *call) ask(ctx context.Context, claim ledger.Claim, q Probe, event string, rec ledger.Record, stdout func([]byte)) (*ProbeEnd, *proc.End, error) {
	var lost <-chan struct{}
	if claim != nil {
		lost = claim.Lost()
	} else { // run has not checked it yet
		if err := proc.Ready(false); err != nil {
			return &ProbeEnd{NotStarted: err}, nil, nil
		}
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return &ProbeEnd{NotStarted: err}, nil, nil
	}
	defer stdin.Close()
	cmd := proc.Shell(q.Command)
	at := AttemptOf(rec)
	at.Event, at.Unclaimed = event, claim == nil
	cmd.Env = append(c.Environ(at), c.Env...)
	cmd.Stdin, cmd.Stderr = stdin, c.Live.Stderr
	cmd.Record = func(stream proc.Stream, p []byte) {
		if stream == proc.Stdout {
			stdout(p)
		}
	}
	cmd.Backlog, cmd.OwnGroup, cmd.Timeout, cmd.KillAfter = c.Backlog, true, q.Timeout, c.Limits.KillAfter

	ctx, cancel := withDone(ctx, lost)
	defer cancel()
	signals := proc.Catch()
	end, err := cmd.Run(ctx, signals)
	if end != nil {
		_ = end.Flush() // a message about lost stderr could not say where to find it
	}
	signals.Stop()
	if sig, ok := signals.Ended(); ok {
		return nil, end, &proc.SignalError{Signal: sig}
	}
	switch {
	case end == nil && ctx.Err() != nil: // the claim was lost before the command was started
		return &ProbeEnd{StoppedBy: proc.ByContext}, nil, nil
	case end == nil:
		return &ProbeEnd{NotStarted: err}, nil, nil
	}
	return &ProbeEnd{Status: end.Status, StoppedBy: end.StoppedBy, Lost: err}, end, nil
}
