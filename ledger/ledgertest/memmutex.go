package ledgertest

import (
	"cmp"
	"context"
	"slices"

	"idem/ledger"
)

// memMutex is a mutex in a Mem. It has no holder without a limit.
type memMutex struct {
	limit   int
	holders []*memClaim
	line    []*memClaim // in the order in which they called Queue
}

type memName struct{ namespace, name string }

// mutex returns a mutex of a claim's namespace. A mutex without holders and waiters is
// equivalent to none.
func (c *memClaim) mutex(name string) *memMutex {
	at := memName{c.id.Namespace, name}
	m := c.handle.mutexes[at]
	if m == nil {
		m = &memMutex{}
		c.handle.mutexes[at] = m
	}
	return m
}

// free reports whether c can take a place of m under a limit.
func (m *memMutex) free(c *memClaim, limit int) bool {
	first := len(m.line) == 0 || m.line[0] == c
	return first && (len(m.holders) == 0 || m.limit == limit && len(m.holders) < limit)
}

// blocked returns the error of the first mutex that c cannot take, or nil.
func (c *memClaim) blocked(mutexes []ledger.Mutex) error {
	for _, want := range mutexes {
		if m := c.mutex(want.Name); !m.free(c, want.Limit) {
			return &ledger.MutexError{Mutex: want, State: m.state(memName{c.id.Namespace, want.Name})}
		}
	}
	return nil
}

// holds reports whether c has taken its mutexes.
func (m *Mem) holds(c *memClaim) bool {
	for _, mutex := range m.mutexes {
		if slices.Contains(mutex.holders, c) {
			return true
		}
	}
	return false
}

// takeMutexes takes all mutexes or none, unless an earlier attempt of c has taken them.
func (m *Mem) takeMutexes(c *memClaim, mutexes []ledger.Mutex) error {
	if m.holds(c) {
		return nil
	}
	if err := c.blocked(mutexes); err != nil {
		return err
	}
	m.dropMutexes(c)
	for _, want := range mutexes {
		mutex := c.mutex(want.Name)
		mutex.limit = want.Limit
		mutex.holders = append(mutex.holders, c)
	}
	c.since = now()
	m.wake()
	return nil
}

// dropMutexes ends what c has of all mutexes: its places and its places in line.
func (m *Mem) dropMutexes(c *memClaim) {
	is := func(other *memClaim) bool { return other == c }
	for _, mutex := range m.mutexes {
		mutex.holders = slices.DeleteFunc(mutex.holders, is)
		mutex.line = slices.DeleteFunc(mutex.line, is)
	}
}

func (c *memClaim) Queue(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	m := c.handle.Mem
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.r.holder != c {
		return ledger.ErrLost
	}
	if m.holds(c) {
		return nil
	}
	for _, want := range mutexes {
		if mutex := c.mutex(want.Name); !slices.Contains(mutex.line, c) {
			mutex.line = append(mutex.line, c)
			c.since, c.owner = now(), owner
		}
	}
	for c.r.holder == c && c.blocked(mutexes) != nil {
		freed := m.freed
		m.mu.Unlock()
		var err error
		select {
		case <-freed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		m.mu.Lock()
		if err != nil {
			m.dropMutexes(c)
			m.wake()
			return err
		}
	}
	if c.r.holder != c {
		return ledger.ErrLost
	}
	return nil
}

func (h *memHandle) Mutexes(ctx context.Context, namespace string, names ...string) ([]ledger.MutexState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var states []ledger.MutexState
	for at, m := range h.mutexes {
		used := len(m.holders)+len(m.line) > 0
		if used && (namespace == "" || namespace == at.namespace) && (len(names) == 0 || slices.Contains(names, at.name)) {
			states = append(states, m.state(at))
		}
	}
	slices.SortFunc(states, func(a, b ledger.MutexState) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return states, ctx.Err()
}

func (m *memMutex) state(at memName) ledger.MutexState {
	s := ledger.MutexState{Namespace: at.namespace, Name: at.name}
	for _, c := range m.holders {
		a := c.begun.attempt
		s.Limit = m.limit
		s.Holders = append(s.Holders, ledger.MutexUse{ID: c.id, RunID: a.RunID, Owner: a.Owner, Since: c.since})
	}
	for _, c := range m.line {
		s.Waiters = append(s.Waiters, ledger.MutexUse{ID: c.id, Owner: c.owner, Since: c.since})
	}
	return s
}
