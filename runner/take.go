package runner

import (
	"context"
	"errors"
	"slices"

	"idem/ledger"
	"idem/proc"
)

// Take decides about a call and, if the command may have to run, claims the key and decides
// again. It returns a Task if the decision is to run the command. Otherwise the result and
// the error are those of Run for a call that does not wait for its key.
func (r *Runner) Take(ctx context.Context, c Call) (*Task, Result, error) {
	return (&call{Runner: r, Call: &c}).take(ctx)
}

// take is Take. When the record changes, or the verification has answered, it starts over.
func (c *call) take(ctx context.Context) (*Task, Result, error) {
	if c.Unseen {
		if t, err := c.takeUnseen(ctx); t != nil || err != nil {
			return t, Result{}, err
		}
	}
	for {
		rec, err := c.Ledger.Get(ctx, c.ID)
		if err != nil {
			return nil, Result{}, err
		}
		if c.baseline == (Baseline{}) {
			c.baseline = baselineOf(rec)
		}
		d, err := c.decide(ctx, rec, Moment{})
		if err != nil {
			return nil, Result{}, err
		}
		if d.Action == ActionVerify {
			if err := c.verify(ctx, rec); err != nil {
				return nil, Result{Record: rec}, err
			}
			continue
		}
		if d.Action == ActionReplay && c.isOrphan(rec) {
			if adopted, err := c.adopt(ctx); err != nil {
				return nil, Result{Record: rec}, err
			} else if adopted {
				continue
			}
		}
		if d.Action != ActionClaim {
			res, err := c.refuseOrReplay(ctx, rec, d)
			if forgotten(err) {
				continue
			}
			return nil, res, err
		}
		if err := c.findCommand(); err != nil {
			return nil, Result{Record: rec}, err
		}
		claim, err := c.Ledger.Claim(ctx, c.ID)
		var busy *ledger.BusyError
		var kept *ledger.KeptError
		switch {
		case err == nil:
			t, res, err := c.claimed(ctx, claim)
			if res.Record.Lease == nil && res.Record.Current.RunID == rec.Current.RunID {
				res.Record.Lease = rec.Lease // the claim has replaced it
			}
			if forgotten(err) || t == nil && err == nil && res.Action == ActionVerify {
				continue
			}
			return t, res, err
		case errors.As(err, &kept): // Get did not know it yet; see Decide
			return nil, Result{Decision: Decision{ActionRefuse, ReasonInterrupted}, Record: kept.Record}, nil
		case !errors.As(err, &busy):
			return nil, Result{}, err
		}
		d, err = c.decide(ctx, busy.Record, Moment{})
		if err != nil {
			return nil, Result{}, err
		}
		if d.Action != ActionClaim {
			continue // the key changed after Get and before Claim
		}
		res, err := c.busy(ctx, busy.Record)
		if err != nil {
			return nil, Result{}, err
		}
		res.Leftover, res.Holders = busy.Leftover, busy.Holders
		return nil, res, nil
	}
}

// takeUnseen claims a key that has no record, and decides once. If take has to look first,
// for example because the key has a record, it returns nil and leaves nothing behind.
func (c *call) takeUnseen(ctx context.Context) (t *Task, err error) {
	if c.findCommand() != nil {
		return nil, nil
	}
	claim, err := c.Ledger.Claim(ctx, c.ID)
	if errors.As(err, new(*ledger.BusyError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if t == nil {
			c.baseline = Baseline{}
			err = errors.Join(err, claim.Release())
		}
	}()
	rec, err := claim.Record(ctx)
	if err != nil || rec.Phase() != ledger.PhaseNone {
		return nil, err
	}
	rec.Alive = false // see claimed
	c.baseline = baselineOf(rec)
	d, err := c.decide(ctx, rec, Moment{Holding: true})
	if err != nil || d.Action != ActionExecute {
		return nil, err
	}
	return newTask(c, claim, rec, d, nil), nil
}

// isOrphan reports whether the parent does not know a record that the call replays. The record
// is older than its parent then. For example, a step was marked before its run.
func (c *call) isOrphan(rec ledger.Record) bool {
	return !c.adopted && c.Origin.Parent != (ledger.ID{}) && rec.Parent == (ledger.ID{})
}

// adopt makes the record of the call one of its parent. It reports false for a record that
// another call holds. The replay does not need it, so it goes on with a ledger that cannot be
// written.
func (c *call) adopt(ctx context.Context) (bool, error) {
	c.adopted = true
	claim, err := c.Ledger.Claim(ctx, c.ID)
	if err == nil {
		err = errors.Join(claim.Adopt(ctx, c.Origin), claim.Release())
	}
	for _, harmless := range []error{ledger.ErrReadOnly, ledger.ErrDenied, ledger.ErrFull} {
		if errors.Is(err, harmless) {
			return false, nil
		}
	}
	if errors.As(err, new(*ledger.BusyError)) {
		return false, nil
	}
	return err == nil, err
}

// findCommand looks the command up and checks that it can be run, before anything is
// written.
func (c *call) findCommand() error {
	if c.path != "" {
		return nil
	}
	if c.path = c.Path; c.path != "" {
		return nil
	}
	path, err := proc.LookPath(c.Argv[0])
	if err != nil {
		return err
	}
	if err := proc.Ready(c.TTY); err != nil {
		return &proc.StartError{Name: c.Argv[0], Code: proc.CannotRun, Err: err}
	}
	c.path = path
	return nil
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

// claimed decides again, now that no other call can change the record. It returns a task,
// or releases the claim and carries out another decision. With ActionVerify, it has only
// released the claim.
func (c *call) claimed(ctx context.Context, claim ledger.Claim) (t *Task, res Result, err error) {
	defer func() {
		if t == nil {
			_ = claim.Release()
		}
	}()
	rec, err := claim.Record(ctx)
	if err != nil {
		return nil, Result{}, err
	}
	rec.Alive = false // some ledgers count this process as the key's holder
	d, err := c.decide(ctx, rec, Moment{Holding: true})
	if err != nil {
		return nil, Result{}, err
	}
	var end *ProbeEnd
	switch d.Action {
	case ActionProbe:
		rec, d, end, err = c.probe(ctx, claim, rec)
	case ActionSettle:
		rec, d, err = c.recordUnverified(ctx, claim, rec)
	}
	if err != nil {
		return nil, Result{}, err
	}
	if d.Action == ActionExecute {
		return newTask(c, claim, rec, d, end), Result{}, nil
	}
	if err := claim.Release(); err != nil {
		return nil, Result{Probed: end}, &ReplayError{err}
	}
	res, err = c.refuseOrReplay(ctx, rec, d)
	res.Probed = end
	return nil, res, err
}
