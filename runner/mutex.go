package runner

import (
	"context"
	"slices"

	"idem/ledger"
)

// Mutexes says whether a call can take its mutexes.
type Mutexes string

// The values. MutexesOuter says that a mutex without a free place cannot become free
// before an attempt ends that the call is made inside of.
const (
	MutexesFree  Mutexes = ""
	MutexesHeld  Mutexes = "held"
	MutexesOuter Mutexes = "outer"
)

// withoutMutex returns the result of a call whose mutex has no free place and that does
// not wait. m is the moment of its decision to execute.
func (c *call) withoutMutex(ctx context.Context, rec ledger.Record, m Moment, full *ledger.MutexError) (Result, error) {
	states := []ledger.MutexState{full.State}
	if len(c.Inside.Attempts) > 0 { // the other mutexes count too: the call would wait for all of them
		all, err := c.Ledger.Mutexes(ctx, c.ID.Namespace)
		if err != nil {
			return Result{}, err
		}
		states = append(states, all...)
	}
	res := Result{Record: rec}
	m.Mutexes, res.Mutex = c.mutexesIn(states)
	if m.Mutexes == MutexesFree { // since the error
		m.Mutexes, res.Mutex = MutexesHeld, full
	}
	for _, u := range res.Mutex.State.Holders {
		if u.Leftover {
			res.Holders = append(res.Holders, c.holders(u.ID)...)
		}
	}
	var err error
	res.Decision, err = c.decide(ctx, rec, m)
	return res, err
}

// mutexesIn says whether the call can take its mutexes in the given states, and which
// of them it cannot take, if any.
func (c *call) mutexesIn(states []ledger.MutexState) (Mutexes, *ledger.MutexError) {
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
