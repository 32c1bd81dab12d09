package postgres

import (
	"context"
	"errors"
	"testing"

	"idem/ledger"
	"idem/ledger/filelock"
)

// TestMutexWaiterMissesNoHolder: the claim before a waiter begins between the waiter's look at the
// rows and its look at the locks. The waiter then knows of the new holder.
func TestMutexWaiterMissesNoHolder(t *testing.T) {
	k := newMutexKit(t)
	a, near := k.open("a"), k.open("a")
	before, c := k.claim(a, "before"), k.claim(near, "k")
	must(t, before.Queue(t.Context(), oneM, ledger.Owner{}))
	begun := false
	near.local.locks = &lookedAt{near.local.locks, filelock.TicketName(before.ticket), func() {
		begun = true
		_, err := before.Begin(t.Context(), startM(oneM...))
		must(t, err)
	}}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Queue(done, oneM, ledger.Owner{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Queue: got error %v although the mutex is held", err)
	}
	if !begun {
		t.Error("the ticket was not looked at")
	}
	must(t, before.Release())
	must(t, c.Queue(t.Context(), oneM, ledger.Owner{}))
	_, err := c.Begin(t.Context(), startM(oneM...))
	must(t, err)
	must(t, c.Release())
}

// lookedAt calls a function before the first look at one lock.
type lookedAt struct {
	filelock.Space
	name   filelock.Name
	before func()
}

func (s *lookedAt) Held(n filelock.Name, k filelock.Kind) (bool, error) {
	if n == s.name && s.before != nil {
		before := s.before
		s.before = nil
		before()
	}
	return s.Space.Held(n, k)
}
