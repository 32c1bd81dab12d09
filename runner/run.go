package runner

import (
	"context"
	"errors"
	"os"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/redact"
)

// Runner makes calls. It has the settings that are the same for all calls of a
// process. Its methods do not change it, and several calls may be made at once.
//
// No signal may end idem during the probe, the execution and the hooks. Each of these
// steps catches signals itself. Package proc catches signals once for the process and
// passes each one to all steps that catch it. At any other time signals have their
// default effect.
type Runner struct {
	Ledger   ledger.Ledger
	Now      func() time.Time
	NewRunID func() string
	Owner    func() ledger.Owner
	// Environ returns the whole environment of a process that runs for an attempt.
	Environ func(Attempt) []string
	// Live gets the output of commands while they run, Replayed that of replays.
	Live, Replayed Streams
	// Redact removes secrets from the output before it is recorded. It does not
	// change the live output or Inputs.Encoded. Nil removes nothing.
	Redact *redact.Redactor
	// Backlog makes a file for live output that the reader has not consumed yet, or
	// for the output of a probe.
	Backlog func() (proc.Backlog, error)
	// Scratch makes a file for the stdout of a call with ReplayPolicy.Value and retries. Nil:
	// the stdout of all attempts is live.
	Scratch func() (*os.File, error)
	Waiting Waiting
	Hooks   Hooks
}

// Streams are a stdout and a stderr. Output to a nil stream is dropped.
type Streams struct{ Stdout, Stderr *os.File }

// Waiting says how a waiting call informs the user.
type Waiting struct {
	// Tell is called when a call begins to wait, and then after each Remind. If
	// Remind is 0, it is called once. The first argument is the *ledger.BusyError of the
	// key or the *ledger.MutexError of the mutex that the call waits for. The second one
	// reports whether the call will not replay the result of the key, because of
	// Policy.Fresh. Tell may be nil.
	Tell   func(held error, runs bool)
	Remind time.Duration
}

// call is a call with the runner that makes it.
type call struct {
	*Runner
	*Call
	path     string   // of the command, once it has been looked up
	baseline Baseline // zero until the record has been read
	adopted  bool     // the call has tried to adopt its record
	verified verification
}

// Run makes a call. An error means that no command was started. It is a
// *proc.StartError, a *proc.SignalError, a *sidefile.Error, a *ReplayError or a fault
// of the ledger. The Result then has only the hook faults and, if it was read, the
// record. The hooks of the call's end are left to EndHooks.
func (r *Runner) Run(ctx context.Context, c Call) (Result, error) {
	m := &call{Runner: r, Call: &c}
	res, err := m.run(ctx)
	res.Verified = m.verified.end
	return res, err
}

// mostChanges is how often a call decides again because the record has changed under its claim.
const mostChanges = 10

// run takes the key and runs the command. When the call has waited, or has lost its claim before
// the command was started, it decides again.
func (c *call) run(ctx context.Context) (Result, error) {
	waiting, cancel := withLimit(ctx, c.Wait.Limit)
	defer cancel()
	w := &waiter{call: c, ctx: waiting}
	for changes := 0; ; {
		t, res, err := c.take(ctx)
		for t != nil {
			res, err = t.run(ctx)
			var full *ledger.MutexError
			if !errors.As(err, &full) {
				break
			}
			t, res, err = t.awaitMutexes(ctx, full, w)
		}
		if t != nil && errors.Is(err, ledger.ErrChanged) && changes < mostChanges {
			changes++ // the ledger has forgotten the claim, and nothing was started
			continue
		}
		if t != nil {
			return res, err
		}
		if err != nil || res.Reason != ReasonBusy {
			return res, err
		}
		again, err := w.goOn(func() error {
			return w.wait(&ledger.BusyError{ID: c.ID, Record: res.Record, Leftover: res.Leftover, Holders: res.Holders})
		})
		if err != nil {
			return Result{}, err
		}
		if !again {
			return res, nil
		}
	}
}

// run makes the attempts of a task and ends it. After a *ledger.MutexError, the task still
// holds its claim, and signals have their default effect.
func (t *Task) run(ctx context.Context) (Result, error) {
	// From here until the outcome is durable, no signal may end idem.
	t.Signals = proc.Catch()
	defer t.Signals.Stop()
	err := t.attempts(ctx)
	if errors.As(err, new(*ledger.MutexError)) { // the call may wait now, so an earlier signal must end it
		t.Signals.Stop()
		sig, ok := t.Signals.Fatal()
		if !ok {
			return Result{}, err
		}
		err = &proc.SignalError{Signal: sig}
	}
	// Release the claim before the flush, so that a call waiting for the key does not
	// wait for the reader of this call's output.
	t.Release()
	res := t.Result()
	if err != nil {
		return res, err
	}
	res.Streams = t.last.Flush()
	res.Holders = t.Holders()
	t.Signals.Stop() // printing may wait forever for its reader, so signals must end idem again
	res.Fatal, _ = t.Signals.Fatal()
	t.passValue(&res)
	if t.Output.Quiet && (res.Unrecorded != nil || res.Record.Current.State == ledger.Failed) {
		t.printHeldOutput(ctx, &res, t.outputs)
	}
	return res, nil
}

// attempts makes the first attempt and the retries that are due. An error means that no
// attempt ran.
func (t *Task) attempts(ctx context.Context) error {
	for {
		err := t.Begin(ctx)
		if err == nil {
			t.Execute(ctx)
			err = t.Finish(ctx)
		}
		if err != nil && t.ran == 0 {
			return err
		}
		if err != nil { // the result is that of the previous attempt
			return nil
		}
		wait, due := t.Retry(ctx)
		if !due {
			return nil
		}
		select {
		case <-time.After(wait): // which may have taken longer
			if !t.StillDue(ctx) {
				return nil
			}
		case <-t.Signals.Done():
			return nil
		}
	}
}
