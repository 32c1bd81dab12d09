package runner

import (
	"context"
	"slices"

	"idem/ledger"
)

// AwaitMutexes continues after Begin has failed because of full. If the call waits, it
// waits until its mutexes are free and decides again. It asks a probe again too, because
// its answer may be outdated. The results are those of Take. Signals have their default
// effect, unless the caller catches them.
func (t *Task) AwaitMutexes(ctx context.Context, full *ledger.MutexError) (*Task, Result, error) {
	return t.awaitMutexes(ctx, full, &waiter{call: t.call, ctx: ctx})
}

func (t *Task) awaitMutexes(ctx context.Context, full *ledger.MutexError, w *waiter) (*Task, Result, error) {
	res, err := t.withoutMutex(ctx, t.rec, t.decision, full)
	res.Probed = t.probed
	again := false
	if err == nil && res.Reason == ReasonMutex {
		if again, err = w.goOn(func() error { return w.queue(t.claim, res.Mutex) }); err != nil {
			res = Result{}
		}
	}
	if !again {
		t.Release()
		return nil, res, err
	}
	next, res, err := t.claimed(ctx, t.claim)
	if forgotten(err) || next == nil && err == nil && res.Action == ActionVerify {
		return t.take(ctx)
	}
	return next, res, err
}

// withoutMutex returns the result of a call whose mutex has no free place and that does
// not wait. d is its decision to execute.
func (c *call) withoutMutex(ctx context.Context, rec ledger.Record, d Decision, full *ledger.MutexError) (Result, error) {
	states := []ledger.MutexState{full.State}
	if len(c.Inside.Attempts) > 0 { // the other mutexes count too: the call would wait for all of them
		all, err := c.Ledger.Mutexes(ctx, c.ID.Namespace)
		if err != nil {
			return Result{}, err
		}
		states = append(states, all...)
	}
	res := Result{Record: rec}
	var says Availability
	if says, res.Mutex = c.mutexesIn(states); says == MutexesFree { // since the error
		says, res.Mutex = MutexesHeld, full
	}
	for _, u := range res.Mutex.State.Holders {
		if u.Leftover {
			res.Holders = append(res.Holders, c.holders(u.ID)...)
		}
	}
	res.Decision = d.with(says)
	return res, nil
}

// lookAtMutexes changes the decision to execute in res to that of a call that tried to take
// its mutexes now.
func (c *call) lookAtMutexes(ctx context.Context, res *Result) error {
	states, err := c.Ledger.Mutexes(ctx, c.ID.Namespace)
	if err != nil {
		return err
	}
	var says Availability
	says, res.Mutex = c.mutexesIn(states)
	res.Decision = res.Decision.with(says)
	return nil
}

// mutexesIn says whether the call can take its mutexes in the given states, and which
// of them it cannot take, if any.
func (c *call) mutexesIn(states []ledger.MutexState) (Availability, *ledger.MutexError) {
	says, found := MutexesFree, (*ledger.MutexError)(nil)
	for _, m := range c.Mutexes {
		for _, s := range states {
			if s.Name != m.Name || isFree(m, s) {
				continue
			}
			full := &ledger.MutexError{Mutex: m, State: s}
			if c.holdsUp(states, m.Name) {
				return MutexesOuter, full
			}
			if found == nil {
				says, found = MutexesHeld, full
			}
		}
	}
	return says, found
}

// isFree reports whether Claim.Begin would find a free place, for a call that is not in
// the line.
func isFree(m ledger.Mutex, s ledger.MutexState) bool {
	return len(s.Waiters) == 0 && (len(s.Holders) == 0 || s.Limit == m.Limit && len(s.Holders) < m.Limit)
}

// holdsUp reports whether the line of a mutex does not move before an attempt ends that
// the call is made inside of. Either such an attempt holds the mutex, or it holds another
// one that a call in the line waits for too.
func (c *call) holdsUp(states []ledger.MutexState, name string) bool {
	names := []string{name}
	for i := 0; i < len(names); i++ {
		for _, s := range states {
			if s.Name != names[i] {
				continue
			}
			if slices.ContainsFunc(s.Holders, func(u ledger.MutexUse) bool {
				return u.RunID != "" && slices.Contains(c.Inside.Attempts, u.RunID)
			}) {
				return true
			}
			for _, other := range states {
				if !slices.Contains(names, other.Name) && slices.ContainsFunc(other.Waiters, func(u ledger.MutexUse) bool {
					return slices.ContainsFunc(s.Waiters, func(w ledger.MutexUse) bool { return w.ID == u.ID })
				}) {
					names = append(names, other.Name)
				}
			}
		}
	}
	return false
}

// mutexNames returns the names of the call's mutexes.
func (c *call) mutexNames() []string {
	names := make([]string, len(c.Mutexes))
	for i, m := range c.Mutexes {
		names[i] = m.Name
	}
	return names
}
