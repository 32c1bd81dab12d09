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

// Runner makes calls: it has what is the same for all calls of a process. It is not
// changed by its methods, and several calls may be made at once.
//
// Each step of a call during which no signal may end idem catches signals for
// itself: the probe, the execution and the hooks. Package proc catches them once
// for the process and gives every signal to all that catch it. At any other time
// signals have their default effect.
type Runner struct {
	Ledger   ledger.Ledger
	Now      func() time.Time
	NewRunID func() string
	Owner    func() ledger.Owner
	// Environ returns the whole environment of a process that runs for an attempt.
	Environ func(Attempt) []string
	// Live gets the output of commands while they run, Replayed that of replays.
	Live, Replayed Streams
	// Redact takes out of what is recorded what must not be. The live output and
	// Inputs.Encoded are not changed. Nil takes out nothing.
	Redact *redact.Redactor
	// Backlog makes a file for live output that its reader does not take yet, and
	// for what a probe prints.
	Backlog func() (proc.Backlog, error)
	Waiting Waiting
	Hooks   Hooks
}

// Streams are a stdout and a stderr. What goes to a nil one is dropped.
type Streams struct{ Stdout, Stderr *os.File }

// Waiting says how the user is told that a call waits.
type Waiting struct {
	// Tell is called when a call begins to wait, and again each time that it has
	// waited for Remind; 0: never again. It may be nil.
	Tell   func(*ledger.BusyError)
	Remind time.Duration
}

// call is a call that a runner is making.
type call struct {
	*Runner
	*Call
}

// Run makes a call. An error means that nothing was started: a *proc.StartError, a
// *proc.SignalError, a *sidefile.Error, a *ReplayError, or a fault of the ledger. The
// Result then has only the record, as far as it is known, and the hook faults.
func (r *Runner) Run(ctx context.Context, c Call) (Result, error) {
	m := &call{r, &c}
	res, err := m.run(ctx)
	m.endHooks(ctx, &res, err)
	return res, err
}

// run decides and, where the command may have to run, claims the key and decides
// again. It waits and begins again as often as it must.
func (c *call) run(ctx context.Context) (Result, error) {
	waiting, cancel := within(ctx, c.Wait.Limit)
	defer cancel()
	w := waiter{call: c}
	var path string // of the command, looked up before anything is written
	for {
		rec, err := c.Ledger.Get(ctx, c.ID)
		if err != nil {
			return Result{}, err
		}
		d, err := c.decide(ctx, rec, Moment{})
		if err != nil {
			return Result{}, err
		}
		if d.Action != ActionClaim {
			res, err := c.settled(ctx, rec, d)
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
			res, err := c.claimed(ctx, claim, path)
			if forgotten(err) {
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
			continue // it ended after Get and before Claim
		}
		d = c.busy(busy.Record)
		if c.Wait.Set && d.Reason == ReasonBusy {
			err := w.wait(waiting, busy)
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				return Result{}, err
			}
		}
		return Result{Decision: d, Record: busy.Record, Leftover: busy.Leftover, Holders: busy.Holders}, nil
	}
}

// busy is the decision about a key that another call holds, unless this one waits.
func (c *call) busy(rec ledger.Record) Decision {
	if c.Inside.Probe && rec.Phase() == ledger.PhaseNone {
		return Decision{ActionRefuse, ReasonRecursive}
	}
	return Decision{ActionRefuse, ReasonBusy}
}

// forgotten reports whether a record was forgotten while its output was being
// read, so the call has to be decided again.
func forgotten(err error) bool { return errors.Is(err, ledger.ErrNotFound) }

// claimed decides again, now that no other call can change the record, and does
// what is decided.
func (c *call) claimed(ctx context.Context, claim ledger.Claim, path string) (Result, error) {
	defer claim.Release()
	rec, err := claim.Record(ctx)
	if err != nil {
		return Result{}, err
	}
	rec.Alive = false // some ledgers count this process
	d, err := c.decide(ctx, rec, Moment{Holding: true})
	if err != nil {
		return Result{}, err
	}
	var end *ProbeEnd
	if d.Action == ActionProbe {
		if rec, d, end, err = c.probe(ctx, claim, rec); err != nil {
			return Result{}, err
		}
	}
	var res Result
	if d.Action == ActionExecute {
		res, err = c.execute(ctx, claim, rec, d, path)
	} else if err = claim.Release(); err != nil {
		err = &ReplayError{err}
	} else {
		res, err = c.settled(ctx, rec, d)
	}
	res.Probed = end
	return res, err
}
