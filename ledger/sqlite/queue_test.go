package sqlite

import (
	"context"
	"errors"
	"testing"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// TestWaiterMissesNoHolder: the claim before a waiter begins, and a holder ends, between the
// waiter's look at the rows and its look at the locks. The waiter then knows of the new holder,
// whose limit or place excludes it.
func TestWaiterMissesNoHolder(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	shared, sole := []ledger.Mutex{{Name: "m", Limit: 2}}, theMutex
	done, cancel := context.WithCancel(t.Context())
	cancel()
	holder, before := claimed(t, l, "holder"), claimed(t, l, "before")
	_, err := beginWith(holder, "h", shared)
	must(t, err)
	must(t, before.Queue(t.Context(), shared, ledger.Owner{}))
	watched := &lookedAt{name: filelock.PlaceName("default", "m", 1)}
	near, err := Options{}.open(place, func(dir *localdir.Dir) filelock.Space {
		watched.Space = filelock.New(dir)
		return watched
	})
	must(t, err)
	t.Cleanup(func() { near.Close() })
	c := claimed(t, near, "k")
	watched.before = func() {
		_, err := beginWith(before, "b", shared)
		must(t, err)
		must(t, holder.Release())
	}
	if err := c.Queue(done, sole, ledger.Owner{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Queue: got error %v although the mutex is held", err)
	}
	if watched.before != nil {
		t.Error("the lock was not looked at")
	}
	must(t, before.Release())
	must(t, c.Queue(t.Context(), sole, ledger.Owner{}))
	_, err = beginWith(c, "r", sole)
	must(t, err)
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
