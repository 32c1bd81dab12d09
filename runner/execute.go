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

// execute runs the command, again as long as Retries says so, and records each
// attempt.
func (c *Call) execute(ctx context.Context, l ledger.Ledger, claim ledger.Claim, rec ledger.Record, d Decision, path string) (Result, error) {
	// From here to the durable outcome no signal may end us.
	signals := proc.Catch()
	defer signals.Stop()
	delay := c.Retries.delays()
	var last Result
	var said []*held  // by the failed attempts, with QuietOK
	var end *proc.End // of the latest command; its live output comes behind that of the others
	for retries := 0; ; retries++ {
		res, ended, err := c.attempt(ctx, claim, rec, d, path, signals, end)
		if ended != nil {
			end = ended
		}
		res.HookFaults = append(last.HookFaults, res.HookFaults...)
		if err != nil && retries == 0 {
			return res, err
		}
		if err != nil { // the attempt before is what there is to tell of
			last.HookFaults = res.HookFaults
			res = last
			if !errors.As(err, new(*proc.SignalError)) { // see Fatal
				res.NotRetried = err
			}
		}
		if err == nil {
			said = append(said, res.held)
			bound(said)
			again, fault := c.again(ctx, l, res, retries, signals)
			res.NotRetried = fault
			if again {
				select {
				case <-time.After(delay()):
					rec, last = res.Record, res
					continue
				case <-signals.Done():
				}
			}
		}
		// Whoever waits for the key need not wait for the reader of our output.
		_ = claim.Release()
		res.Streams = end.Flush()
		if cur := res.Record.Current; cur.Reason == ledger.ReasonTimeout || cur.Reason == ledger.ReasonSignal {
			res.Holders = holders(l, c.ID)
		}
		signals.Stop() // what is still to be printed may wait for its reader for ever
		res.Fatal, _ = signals.Fatal()
		if c.QuietOK && (res.Unrecorded != nil || res.Record.Current.State == ledger.Failed) {
			c.sayHeld(ctx, l, &res, said)
		}
		return res, nil
	}
}

// attempt runs the command once, after an earlier one if there is its End. There
// is no End when it was not started.
func (c *Call) attempt(ctx context.Context, claim ledger.Claim, rec ledger.Record, d Decision, path string, signals *proc.Signals, earlier *proc.End) (Result, *proc.End, error) {
	before := Result{Record: rec}
	inputs := c.Inputs
	if c.Starting != nil {
		inputs = c.Starting(path)
	}
	e, err := claim.Begin(ctx, ledger.Start{
		RunID: c.RunID(), Fingerprint: c.Fingerprint, Inputs: inputs, Owner: c.Owner(), MaxOutput: c.keeps(),
	})
	if err != nil {
		if sig, ok := signals.Fatal(); ok {
			return before, nil, &proc.SignalError{Signal: sig}
		}
		return before, nil, err
	}
	res := Result{Decision: d, Record: rec, held: &held{runID: e.Attempt().RunID}}
	res.Record.Fence, res.Record.Attempts, res.Record.Current = e.Fence(), e.Attempt().Number, e.Attempt()
	if earlier != nil && c.Hooks.has(OnStart) {
		earlier.Settle()
	}
	res.HookFaults = c.starting(ctx, claim, res, signals)
	var end *proc.End
	var redacted bool
	files, err := sidefile.Measure(c.Files) // what the hooks have appended is not the command's
	if err == nil {
		end, redacted, err = c.start(ctx, claim, e, res, path, signals, earlier)
	}
	if end == nil {
		before.HookFaults = res.HookFaults
		if undo := e.Abandon(ctx); undo != nil {
			return before, nil, fmt.Errorf("%w; the key counts as interrupted, although nothing was started: %v", undo, err)
		}
		return before, nil, err
	}
	res.Status = end.Status
	if err != nil { // it ran, but nobody knows how it ended
		res.Unrecorded = err
		return res, end, nil
	}
	o := c.outcome(end)
	o.Files, res.Losses = sidefile.Additions(files, c.refuseAddition)
	o.Capture = captureOf(end, redacted)
	res.Record.Current, res.Unrecorded = e.Finish(ctx, o)
	return res, end, nil
}

func holders(l ledger.Ledger, id ledger.ID) []ledger.Process {
	if t, ok := l.(ledger.Tracing); ok {
		return t.Holders(id)
	}
	return nil
}

// TimeoutStatus is what timeout(1) exits with.
const TimeoutStatus = 124

func (c *Call) outcome(end *proc.End) ledger.Outcome {
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

// keeps returns how many bytes of output are kept.
func (c *Call) keeps() int64 {
	if c.NoOutput {
		return 0
	}
	return c.MaxOutput
}

// captureOf is what the ledger is told about the output of a command that has
// ended.
func captureOf(end *proc.End, redacted bool) ledger.Capture {
	return ledger.Capture{
		Incomplete: end.Open, Redacted: redacted,
		Unread: ledger.Gaps{Stdout: end.Unread[proc.Stdout], Stderr: end.Unread[proc.Stderr]},
	}
}

// start runs the command. It reports whether something was taken out of what was
// recorded.
func (c *Call) start(ctx context.Context, claim ledger.Claim, e ledger.Execution, res Result, path string, signals *proc.Signals, earlier *proc.End) (end *proc.End, redacted bool, err error) {
	record, recorded := c.recorder(e, res.held)
	cmd := proc.Command{
		Path: path, Args: c.Argv,
		Env:   c.Environ(AttemptOf(res.Record)),
		Stdin: c.Stdin, OwnGroup: c.Timeout > 0, TTY: c.TTY,
		Record:    record,
		Backlog:   c.Backlog,
		Earlier:   earlier,
		Timeout:   c.Timeout,
		KillAfter: c.KillAfter,
	}
	if !c.QuietOK {
		cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	}
	if i, ok := e.(ledger.Inheriting); ok {
		cmd.Inherit = i.Descriptors()
	}
	ctx, cancel := endedBy(ctx, claim.Lost())
	defer cancel()
	end, err = cmd.Run(ctx, signals)
	return end, recorded(), err
}
