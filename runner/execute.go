package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// execution is the part of a call that runs the command, with the claim held.
type execution struct {
	*call
	claim    ledger.Claim
	decision Decision
	path     string // of the command
	signals  *proc.Signals
	last     *proc.End     // the end of the latest command; the next one's live output follows that command's
	outputs  []*heldOutput // the output of each attempt, with Output.Quiet
}

// execute runs the command and, while a retry is due, runs it again. It records each
// attempt.
func (c *call) execute(ctx context.Context, claim ledger.Claim, rec ledger.Record, d Decision, path string) (Result, error) {
	// From here until the outcome is durable, no signal may end idem.
	x := execution{call: c, claim: claim, decision: d, path: path, signals: proc.Catch()}
	defer x.signals.Stop()
	res, err := x.attempts(ctx, rec)
	if errors.As(err, new(*ledger.MutexError)) { // the call may wait now, so an earlier signal must end it
		x.signals.Stop()
		if sig, ok := x.signals.Fatal(); ok {
			err = &proc.SignalError{Signal: sig}
		}
	}
	if err != nil {
		return res, err
	}
	// Release the claim before the flush, so that a call waiting for the key does not
	// wait for the reader of this call's output.
	_ = claim.Release()
	res.Streams = x.last.Flush()
	if cur := res.Record.Current; cur.Reason == ledger.ReasonTimeout || cur.Reason == ledger.ReasonSignal {
		res.Holders = c.holders(c.ID)
	}
	x.signals.Stop() // printing may wait forever for its reader, so signals must end idem again
	res.Fatal, _ = x.signals.Fatal()
	if c.Output.Quiet && (res.Unrecorded != nil || res.Record.Current.State == ledger.Failed) {
		c.printHeldOutput(ctx, &res, x.outputs)
	}
	return res, nil
}

// attempts makes the first attempt and the retries that are due. The result is that
// of the last attempt that ran. An error means that no attempt ran.
func (x *execution) attempts(ctx context.Context, rec ledger.Record) (Result, error) {
	delay := x.Retries.delays()
	var last Result
	for retries := 0; ; retries++ {
		res, err := x.attempt(ctx, rec, retries == 0)
		res.HookFaults = append(last.HookFaults, res.HookFaults...)
		switch {
		case err != nil && retries == 0:
			return res, err
		case err != nil: // the result is that of the previous attempt
			last.HookFaults = res.HookFaults
			if !errors.As(err, new(*proc.SignalError)) { // see Result.Fatal
				last.NotRetried = err
			}
			return last, nil
		}
		x.outputs = append(x.outputs, res.output)
		boundHeldOutput(x.outputs)
		wait := delay()
		due, fault := x.retryDue(ctx, res, retries, wait)
		if due {
			select {
			case <-time.After(wait): // which may have taken longer
				due, fault = x.retryAllowed(ctx, res.Record, 0)
			case <-x.signals.Done():
				return res, nil
			}
		}
		if res.NotRetried = fault; !due {
			return res, nil
		}
		rec, last = res.Record, res
	}
}

// attempt runs the command once. first reports whether it is the first attempt of the
// call. An error means that it was not started.
func (x *execution) attempt(ctx context.Context, rec ledger.Record, first bool) (Result, error) {
	before := Result{Record: rec}
	inputs := x.Inputs.Encoded
	if x.Inputs.Starting != nil {
		inputs = x.Inputs.Starting(x.path)
	}
	e, err := x.claim.Begin(ctx, ledger.Start{
		RunID: x.NewRunID(), Fingerprint: x.Inputs.Fingerprint, Inputs: inputs, Owner: x.Owner(), MaxOutput: x.Output.recordLimit(),
		Mutexes: x.Mutexes, Origin: x.Origin,
		Renew: first && x.decision.Reason.renews(), Fresh: first && x.decision.Reason == ReasonNewAttempt,
	})
	if err != nil {
		if sig, ok := x.signals.Fatal(); ok {
			return before, &proc.SignalError{Signal: sig}
		}
		return before, err
	}
	res := Result{Decision: x.decision, Record: rec, output: &heldOutput{runID: e.Attempt().RunID}}
	res.Record.Generation, res.Record.Fence = e.Generation(), e.Fence()
	res.Record.Attempts, res.Record.Current = e.Attempt().Number, e.Attempt()
	if x.last != nil && x.Hooks.has(EventStart) {
		x.last.Settle()
	}
	res.HookFaults = x.startHooks(ctx, x.claim, res, x.signals)
	var end *proc.End
	var redacted bool
	files, err := sidefile.Measure(x.Files) // after the hooks, whose additions do not count
	if err == nil {
		end, redacted, err = x.start(ctx, e, res)
	}
	if end == nil {
		before.HookFaults = res.HookFaults
		if undo := e.Abandon(ctx); undo != nil {
			return before, fmt.Errorf("%w; the key counts as interrupted, although nothing was started: %v", undo, err)
		}
		return before, err
	}
	x.last = end
	res.Status = end.Status
	if err != nil { // the command ran, but its exit status is lost
		res.Unrecorded = err
		return res, nil
	}
	o := x.outcome(end)
	o.Files, res.Losses = sidefile.Additions(files, x.refuseAddition)
	o.Capture = captureOf(end, redacted)
	res.Record.Current, res.Unrecorded = e.Finish(ctx, o)
	return res, nil
}

// start runs the command to its end. end is nil if the command was not started.
// redacted reports whether the recorded output was redacted.
func (x *execution) start(ctx context.Context, e ledger.Execution, res Result) (end *proc.End, redacted bool, err error) {
	record, endRecord := x.recorder(e, res.output)
	cmd := proc.Command{
		Path: x.path, Args: x.Argv,
		Env:   x.Environ(AttemptOf(res.Record)),
		Stdin: x.Stdin, OwnGroup: x.Limits.Timeout > 0, TTY: x.TTY,
		Record:    record,
		Backlog:   x.Backlog,
		Earlier:   x.last,
		Timeout:   x.Limits.Timeout,
		KillAfter: x.Limits.KillAfter,
	}
	if !x.Output.Quiet {
		cmd.Stdout, cmd.Stderr = x.Live.Stdout, x.Live.Stderr
	}
	if i, ok := e.(ledger.Inheriting); ok {
		cmd.Inherit = i.Descriptors()
	}
	ctx, cancel := withDone(ctx, x.claim.Lost())
	defer cancel()
	end, err = cmd.Run(ctx, x.signals)
	return end, endRecord(), err
}

// TimeoutStatus is the exit status of a command that timed out, as in timeout(1).
const TimeoutStatus = 124

// outcome returns the outcome of a command that has ended.
func (c *call) outcome(end *proc.End) ledger.Outcome {
	o := ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: end.ExitCode, Signal: int(end.Signal)}
	switch {
	case end.StoppedBy == proc.ByTimeout:
		o.Reason, o.ExitCode = ledger.ReasonTimeout, TimeoutStatus
	case end.Signal != 0:
		o.Reason = ledger.ReasonSignal
	case end.ExitCode == 0 || c.OK.Has(end.ExitCode):
		o.State = ledger.Succeeded
	}
	return o
}

// captureOf returns how complete the recorded output of a command is.
func captureOf(end *proc.End, redacted bool) ledger.Capture {
	return ledger.Capture{
		Incomplete: end.Open, Redacted: redacted,
		Unread: ledger.Gaps{Stdout: end.Unread[proc.Stdout], Stderr: end.Unread[proc.Stderr]},
	}
}

// holders returns the processes that keep a key busy, if the ledger can find them.
func (c *call) holders(id ledger.ID) []ledger.Process {
	if t, ok := c.Ledger.(ledger.Tracing); ok {
		return t.Holders(id)
	}
	return nil
}
