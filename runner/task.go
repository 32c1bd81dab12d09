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

// Task is a call that holds the claim of its key and whose decision is to run the
// command. It makes attempts one after the other. For each, the caller calls Begin,
// Execute and Finish. Retry then says whether a further attempt is due. Release ends the
// task.
//
// Begin and Finish change the ledger and do nothing else that takes time, so changes of
// several tasks can share a commit; see ledger.Together. A task is used by one goroutine
// at a time.
type Task struct {
	*call
	// Signals passes signals on to the command. It must be set before Begin. It may serve
	// several tasks.
	Signals *proc.Signals
	// Sink gets the output of the commands as it is recorded, so without secrets. If it
	// blocks, the command waits. Nil drops the output.
	Sink func(proc.Stream, []byte)

	claim    ledger.Claim
	rec      ledger.Record // before the next attempt
	decision Decision
	probed   *ProbeEnd
	delay    func() time.Duration // before the next retry
	ran      int                  // number of attempts that ran
	now      attempt              // from Begin to Finish
	result   Result               // of the latest attempt that ran
	last     *proc.End            // the end of the latest command; the next one's live output follows that command's
	outputs  []*heldOutput        // the output of each attempt, with Output.Quiet
	value    *heldValue           // nil unless holdsValue
}

// attempt is an attempt in progress.
type attempt struct {
	ledger.Execution
	result  Result
	end     *proc.End // nil if the command was not started
	err     error     // why it was not started, or why its exit status is unknown
	outcome ledger.Outcome
}

// newTask returns the task of a call that is decided with its claim held.
func newTask(c *call, claim ledger.Claim, rec ledger.Record, d Decision, probed *ProbeEnd) *Task {
	return &Task{
		call: c, claim: claim, rec: rec, decision: d, probed: probed,
		delay: c.Retries.delays(), result: Result{Record: rec},
	}
}

// Call returns the call of the task.
func (t *Task) Call() *Call { return t.call.Call }

// Result returns the result of the latest attempt that ran. Before the first one, it has
// only the record and the hook faults.
func (t *Task) Result() Result {
	res := t.result
	res.Probed, res.Verified = t.probed, t.verified.end
	return res
}

// Begin records that an attempt begins. The record is durable when Begin returns. After
// an error, no attempt is in progress. The error is a *ledger.MutexError if a mutex has no
// free place; see AwaitMutexes.
func (t *Task) Begin(ctx context.Context) error {
	inputs := t.Inputs.Encoded
	if t.Inputs.Starting != nil {
		inputs = t.Inputs.Starting(t.path)
	}
	e, err := t.claim.Begin(ctx, ledger.Start{
		RunID: t.NewRunID(), Fingerprint: t.Inputs.Fingerprint, Inputs: inputs, Owner: t.Owner(), MaxOutput: t.Output.recordLimit(),
		Mutexes: t.Mutexes, Origin: t.Origin,
		Renew: t.ran == 0 && t.decision.Reason.renews(), Fresh: t.ran == 0 && t.decision.Reason == ReasonNewAttempt,
	})
	if err != nil {
		if sig, ok := t.Signals.Fatal(); ok {
			err = &proc.SignalError{Signal: sig}
		}
		return t.notStarted(err)
	}
	res := Result{Decision: t.decision, Record: t.rec, output: &heldOutput{runID: e.Attempt().RunID}}
	res.Record.Generation, res.Record.Fence = e.Generation(), e.Fence()
	res.Record.Attempts, res.Record.Current = e.Attempt().Number, e.Attempt()
	t.now = attempt{Execution: e, result: res}
	return nil
}

// Attempt returns the attempt that Begin recorded, until Finish.
func (t *Task) Attempt() ledger.Attempt { return t.now.Attempt() }

// Execute runs the hooks of the start, and then the command to its end. When ctx is done,
// the command gets TERM.
func (t *Task) Execute(ctx context.Context) {
	a := &t.now
	if t.last != nil && t.Hooks.has(EventStart) {
		t.last.Settle()
	}
	a.result.HookFaults = t.startHooks(ctx, t.claim, a.result, t.Signals)
	files, err := sidefile.Measure(t.Files) // after the hooks, whose additions do not count
	var redacted bool
	if err == nil {
		a.end, redacted, err = t.start(ctx)
	}
	if errors.Is(err, context.Canceled) && t.leaseLost() {
		err = ledger.ErrTooLate
	}
	if a.err = err; a.end == nil {
		return
	}
	t.last = a.end
	a.result.Status = a.end.Status
	a.result.LeaseLost = t.leaseLost() && (a.end.StoppedBy == proc.ByContext || a.end.Signal != 0)
	if err == nil {
		a.outcome = t.outcome(a.end)
		a.outcome.Files, a.result.Losses = sidefile.Additions(files, t.refuseAddition)
		a.outcome.Capture = captureOf(a.end, redacted)
	}
}

// leaseLost reports whether the claim can no longer be kept.
func (t *Task) leaseLost() bool {
	select {
	case <-t.claim.Lost(): // nil if it cannot be lost
		return true
	default:
		return false
	}
}

// Finish records the outcome of the command. The outcome is durable when Finish returns,
// unless Result has Unrecorded. An error means that the command was not started. Begin is
// undone then, and may be called again.
func (t *Task) Finish(ctx context.Context) error {
	a := &t.now
	a.result.HookFaults = append(t.result.HookFaults, a.result.HookFaults...)
	if a.end == nil {
		t.result.HookFaults = a.result.HookFaults
		if undo := a.Abandon(ctx); undo != nil {
			return t.notStarted(fmt.Errorf("%w; the key counts as interrupted, although nothing was started: %v", undo, a.err))
		}
		return t.notStarted(a.err)
	}
	if a.err != nil {
		a.result.Unrecorded = a.err
	} else {
		o := a.outcome
		o.Final = o.State == ledger.Succeeded || t.ran >= t.Retries.N // else Retry decides
		ctx, stop := t.Signals.WithPatience(ctx)
		a.result.Record.Current, a.result.Unrecorded = a.Execution.Finish(ctx, o)
		stop()
		if a.result.Unrecorded == nil && a.result.Record.Current.Reason == ledger.ReasonTransaction {
			a.result.Overruled, a.result.LeaseLost = &o, false
		}
	}
	t.result, t.rec = a.result, a.result.Record
	t.ran++
	t.outputs = append(t.outputs, a.result.output)
	boundHeldOutput(t.outputs)
	return nil
}

// notStarted notes why an attempt was not started, and returns the reason. The result of
// the task is that of the attempt before.
func (t *Task) notStarted(err error) error {
	if t.ran > 0 && !errors.As(err, new(*proc.SignalError)) { // see Result.Fatal
		t.result.NotRetried = err
	}
	return err
}

// Release ends the claim. The task makes no further attempt.
func (t *Task) Release() { _ = t.claim.Release() }

// Holders returns the processes that keep the key busy after the task. There are none
// after an attempt that ended by itself.
func (t *Task) Holders() []ledger.Process {
	if cur := t.result.Record.Current; cur.Reason == ledger.ReasonTimeout || cur.Reason == ledger.ReasonSignal {
		return t.holders(t.ID)
	}
	return nil
}
