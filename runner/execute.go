package runner

import (
	"context"

	"idem/ledger"
	"idem/proc"
)

// start runs the command to its end. end is nil if the command was not started.
// redacted reports whether the recorded output was redacted.
func (t *Task) start(ctx context.Context) (end *proc.End, redacted bool, err error) {
	record, endRecord := t.recorder(t.now, t.now.result.output)
	cmd := proc.Command{
		Path: t.path, Args: t.Argv,
		Env:   append(t.Environ(AttemptOf(t.now.result.Record)), t.Env...),
		Stdin: t.Stdin, OwnGroup: t.Limits.Timeout > 0, Apart: t.Apart, TTY: t.TTY,
		Record:    record,
		Backlog:   t.Backlog,
		Earlier:   t.last,
		Timeout:   t.Limits.Timeout,
		KillAfter: t.Limits.KillAfter,
	}
	if !t.Output.Quiet {
		cmd.Stderr = t.Live.Stderr
		if cmd.Stdout, cmd.Record, err = t.liveStdout(record); err != nil {
			return nil, false, err
		}
	}
	if i, ok := t.now.Execution.(ledger.Inheriting); ok {
		cmd.Inherit = i.Descriptors()
	}
	ctx, cancel := withDone(ctx, t.claim.Lost())
	defer cancel()
	end, err = cmd.Run(ctx, t.Signals)
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

// Outcome returns the outcome that Finish will record. It reports false if the command was
// not started, or if its exit status is lost.
func (t *Task) Outcome() (ledger.Outcome, bool) {
	return t.now.outcome, t.now.end != nil && t.now.err == nil
}

// InProgress returns the result so far of the attempt that Begin recorded. Its attempt is
// running.
func (t *Task) InProgress() Result { return t.now.result }

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
