package runner

import (
	"context"
	"errors"
	"os"
	"slices"
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
	baseline Baseline // zero until the record has been read
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

// run decides. If the command may have to run, it claims the key and decides again.
// When the record changes, the call has waited, or the verification has answered, it
// starts over.
func (c *call) run(ctx context.Context) (Result, error) {
	waiting, cancel := withLimit(ctx, c.Wait.Limit)
	defer cancel()
	w := waiter{call: c, ctx: waiting}
	var path string // of the command, looked up before anything is written
	for {
		rec, err := c.Ledger.Get(ctx, c.ID)
		if err != nil {
			return Result{}, err
		}
		if c.baseline == (Baseline{}) {
			c.baseline = baselineOf(rec)
		}
		d, err := c.decide(ctx, rec, Moment{})
		if err != nil {
			return Result{}, err
		}
		if d.Action == ActionVerify {
			if err := c.verify(ctx, rec); err != nil {
				return Result{Record: rec}, err
			}
			continue
		}
		if d.Action != ActionClaim {
			res, err := c.refuseOrReplay(ctx, rec, d)
			if forgotten(err) {
				continue
			}
			return res, err
		}
		if path == "" {
			if path, err = proc.LookPath(c.Argv[0]); err != nil {
				return Result{Record: rec}, err
			}
			if err = proc.Ready(c.TTY); err != nil {
				return Result{Record: rec}, &proc.StartError{Name: c.Argv[0], Code: proc.CannotRun, Err: err}
			}
		}
		claim, err := c.Ledger.Claim(ctx, c.ID)
		var busy *ledger.BusyError
		switch {
		case err == nil:
			res, err := c.claimed(ctx, &w, claim, path)
			if forgotten(err) || err == nil && res.Action == ActionVerify {
				continue
			}
			return res, err
		case !errors.As(err, &busy):
			return Result{}, err
		}
		d, err = c.decide(ctx, busy.Record, Moment{})
		if err != nil {
			return Result{}, err
		}
		if d.Action != ActionClaim {
			continue // the key changed after Get and before Claim
		}
		res, err := c.busy(ctx, busy.Record)
		if err != nil {
			return Result{}, err
		}
		if res.Reason == ReasonBusy {
			again, err := w.goOn(func() error { return w.wait(busy) })
			if err != nil {
				return Result{}, err
			}
			if again {
				continue
			}
		}
		res.Leftover, res.Holders = busy.Leftover, busy.Holders
		return res, nil
	}
}

// busy returns the result of a call that does not wait for a key that another call
// holds.
func (c *call) busy(ctx context.Context, rec ledger.Record) (Result, error) {
	res := Result{Decision: Decision{ActionRefuse, ReasonBusy}, Record: rec}
	unstarted := c.Inside.Probe && rec.Phase() == ledger.PhaseNone
	failed := rec.Phase() == ledger.PhaseFailed && c.Inside.event(rec.Current.RunID)
	if unstarted || failed { // held by the call whose probe made this call
		res.Reason = ReasonRecursive
		return res, nil
	}
	states, err := c.Ledger.Mutexes(ctx, c.ID.Namespace)
	if errors.Is(err, ledger.ErrCorrupt) { // of any mutex; the calls that use it report it
		return res, nil
	}
	for i := range states {
		if slices.ContainsFunc(states[i].Waiters, func(u ledger.MutexUse) bool { return u.ID == c.ID }) {
			res.Queued = &states[i]
			if c.Wait.Set && c.holdsUp(states, states[i].Name) {
				res.Reason = ReasonRecursive
				break
			}
		}
	}
	return res, err
}

// forgotten reports whether a record was forgotten while its output was being
// read, so the call has to decide again.
func forgotten(err error) bool { return errors.Is(err, ledger.ErrNotFound) }

// claimed decides again, now that no other call can change the record, and carries
// out the decision. With ActionVerify, it has only released the claim. If a mutex has no
// free place, the call may wait. Then it decides once more, and asks a probe once more,
// because its answer may be outdated.
func (c *call) claimed(ctx context.Context, w *waiter, claim ledger.Claim, path string) (Result, error) {
	defer claim.Release()
	for {
		rec, err := claim.Record(ctx)
		if err != nil {
			return Result{}, err
		}
		rec.Alive = false // some ledgers count this process as the key's holder
		d, err := c.decide(ctx, rec, Moment{Holding: true})
		if err != nil {
			return Result{}, err
		}
		var end *ProbeEnd
		switch d.Action {
		case ActionProbe:
			rec, d, end, err = c.probe(ctx, claim, rec)
		case ActionSettle:
			rec, d, err = c.recordUnverified(ctx, claim, rec)
		}
		if err != nil {
			return Result{}, err
		}
		var res Result
		var full *ledger.MutexError
		if d.Action == ActionExecute {
			res, err = c.execute(ctx, claim, rec, d, path)
			if errors.As(err, &full) {
				res, err = c.withoutMutex(ctx, rec, d, full)
			}
		} else if err = claim.Release(); err != nil {
			err = &ReplayError{err}
		} else {
			res, err = c.refuseOrReplay(ctx, rec, d)
		}
		res.Probed = end
		if err != nil || res.Reason != ReasonMutex {
			return res, err
		}
		again, err := w.goOn(func() error { return w.queue(claim, res.Mutex) })
		if err != nil {
			return Result{}, err
		}
		if !again {
			return res, nil
		}
	}
}
