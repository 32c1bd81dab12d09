package postgres

import (
	"testing"
	"time"
)

// TestARenewalWaitsForNoRow: a transaction that has locked one of the rows may wait for another one.
// The renewal of the other rows is done, and the claim of the locked one is not lost.
func TestARenewalWaitsForNoRow(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("a")
	first, second := k.claim(l, "k1"), k.claim(l, "k2")
	l.leases.mu.Lock()
	batch := l.leases.batch()
	l.leases.mu.Unlock()
	since := func(c *claim) time.Duration {
		l.leases.mu.Lock()
		defer l.leases.mu.Unlock()
		return c.held.since
	}
	before, locked := since(first), since(second)
	db := k.connect()
	db.do("begin; select 1 from " + k.schema + ".record where key = 'k2' for update")
	if l.leases.renew(batch, time.Minute) {
		t.Error("all leases are renewed, although a row is locked")
	}
	if since(first) == before || since(second) != locked {
		t.Errorf("renewed: %t and %t, want true and false", since(first) != before, since(second) != locked)
	}
	db.do("select 1 from " + k.schema + ".record where key = 'k1' for update; commit")
	if !l.leases.renew(batch, time.Minute) || since(second) == locked {
		t.Error("the lease of the row that was locked is not renewed")
	}
	for _, c := range []*claim{first, second} {
		select {
		case <-c.Lost():
			t.Errorf("the claim of %s is lost", c.id.Key)
		default:
		}
		must(t, c.Release())
	}
}
