package postgres

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/ledger/postgres/pgtest"
)

// TestMutexOfDeadHost: a mutex is free when the lease of a dead host has ended, and not before.
func TestMutexOfDeadHost(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.open("a"), k.open("b")
	k.hold(a, "k")
	k.die(a)
	k.taken(b, "the lease is valid")
	k.expire("k")
	k.free(b, "the lease has ended")
}

// TestMutexOfKeptClaim: a claim that only a person may end keeps its mutexes on all hosts.
func TestMutexOfKeptClaim(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.openAt("a", k.server.URL(pgtest.CI, pgtest.Database, k.schema), Options{Keep: true}), k.open("b")
	k.hold(a, "k")
	k.die(a)
	k.expire("k")
	k.taken(b, "the claim is kept")
	k.free(k.open("a"), "the same host knows that the holder is dead")
}

// TestMutexOfLeftovers: a killed command that goes on in other processes keeps the mutex, after
// Release and after the death of the call.
func TestMutexOfLeftovers(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(k *mutexKit, l *Ledger, c *claim, x ledger.Execution){
		"killed": func(k *mutexKit, l *Ledger, c *claim, x ledger.Execution) {
			_, err := x.Finish(k.Context(), died)
			must(k.T, err)
			must(k.T, c.Release())
		},
		"final": func(k *mutexKit, l *Ledger, c *claim, x ledger.Execution) {
			o := died
			o.Final = true
			_, err := x.Finish(k.Context(), o)
			must(k.T, err)
			must(k.T, c.Release())
		},
		"unfinished": func(k *mutexKit, l *Ledger, c *claim, x ledger.Execution) { must(k.T, c.Release()) },
		"dead":       func(k *mutexKit, l *Ledger, c *claim, x ledger.Execution) { k.die(l) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newMutexKit(t)
			a, near, b := k.open("a"), k.open("a"), k.open("b")
			c, x := k.hold(a, "k")
			gone := k.inherit(x)
			end(k, a, c, x)
			k.taken(b, "the lease is valid")
			k.taken(near, "the life lock is held")
			states, err := near.Mutexes(t.Context(), "n")
			must(t, err)
			if len(states) != 1 || len(states[0].Holders) != 1 || !states[0].Holders[0].Leftover {
				t.Errorf("got %+v, want a leftover", states)
			}
			k.expire("k")
			k.taken(near, "the life lock is held, although the lease has ended")
			gone()
			k.free(near, "the processes have ended")
			k.free(b, "the lease has ended")
		})
	}
}

// TestMutexOfHiddenLeftovers: a call that finds processes by their environment leaves the key
// and its mutexes to them, also on other hosts.
func TestMutexOfHiddenLeftovers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("other kernels do not show the environment of a process")
	}
	for _, how := range []string{"dead", "unfinished"} {
		t.Run(how, func(t *testing.T) {
			k := newMutexKit(t)
			a, near, b := k.openAt("a", k.server.URL(pgtest.CI, pgtest.Database, k.schema), Options{Keep: how == "dead"}), k.open("a"), k.open("b")
			c, x := k.hold(a, "k")
			_, end := ledgertest.Leave(t, ledger.RunIDVar+"="+x.Attempt().RunID)
			if how == "dead" {
				k.die(a)
			} else {
				must(t, c.Release())
			}
			for range 2 {
				if _, err := near.claim(t.Context(), ledger.ID{Namespace: "n", Key: "k"}); !errors.As(err, new(*ledger.BusyError)) {
					t.Fatalf("Claim with leftovers: %v", err)
				}
				k.taken(b, "the lease is valid")
				k.taken(near, "the processes are alive")
				if _, err := b.claim(t.Context(), ledger.ID{Namespace: "n", Key: "k"}); !errors.As(err, new(*ledger.BusyError)) {
					t.Fatalf("Claim on another host: %v", err)
				}
			}
			k.expire("k")
			if how == "dead" {
				k.taken(b, "the claim before was kept")
			}
			end()
			k.free(near, "the processes have ended")
		})
	}
}

// TestMutexWaiterSeesMark: a waiter behind leftovers asks the server again, because the key can
// be settled while they live.
func TestMutexWaiterSeesMark(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other kernels do not show the environment of a process")
	}
	k := newMutexKit(t)
	a, near := k.open("a"), k.open("a")
	_, x := k.hold(a, "k")
	ledgertest.Leave(t, ledger.RunIDVar+"="+x.Attempt().RunID)
	k.die(a)
	w := k.claim(near, "w")
	done := make(chan error, 1)
	go func() { done <- w.Queue(t.Context(), oneM, ledger.Owner{}) }()
	eventually(t, func() bool { return k.rows() == "2" })
	k.server.Exec(t, "update "+k.schema+".record set state = 'failed', reason = 'marked', holder = null where key = 'k'")
	must(t, <-done)
	_, err := w.Begin(t.Context(), startM(oneM...))
	must(t, err)
	must(t, w.Release())
}

// TestMutexWaiterThatBegan: a waiter that has begun is a holder, although its ticket is unlocked.
func TestMutexWaiterThatBegan(t *testing.T) {
	k := newMutexKit(t)
	a, near, b := k.open("a"), k.open("a"), k.open("b")
	w := k.claim(a, "w")
	must(t, w.Queue(t.Context(), oneM, ledger.Owner{}))
	k.taken(near, "the waiter is first in line")
	k.taken(b, "the waiter is first in line")
	_, err := w.Begin(t.Context(), startM(oneM...))
	must(t, err)
	k.taken(near, "the waiter holds the mutex")
	k.taken(b, "the waiter holds the mutex")
	must(t, w.Queue(t.Context(), oneM, ledger.Owner{}))
	must(t, w.Release())
	if n := k.rows(); n != "0" {
		t.Errorf("%s rows are left", n)
	}
}

// TestMutexRejoin: a waiter whose row is gone, as after a crash of the server, joins again.
func TestMutexRejoin(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.open("a"), k.open("b")
	holder, _ := k.hold(a, "k")
	w, other := k.claim(b, "w"), k.claim(b, "other")
	done, doneOther := make(chan error, 1), make(chan error, 1)
	go func() { done <- w.Queue(t.Context(), oneM, ledger.Owner{}) }()
	eventually(t, func() bool { return k.rows() == "2" })
	go func() { doneOther <- other.Queue(t.Context(), oneM, ledger.Owner{}) }()
	eventually(t, func() bool { return k.rows() == "3" })
	k.server.Exec(t, "delete from "+k.schema+".mutex where ticket > 0 and key = 'w'")
	eventually(t, func() bool { return k.rows() == "3" })
	must(t, holder.Release())
	must(t, <-doneOther)
	must(t, other.Release())
	must(t, <-done)
	k.taken(a, "the waiter is first in line")
	must(t, w.Release())
}

// TestMutexFinal: the commit of the last outcome frees the mutex.
func TestMutexFinal(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.open("a"), k.open("b")
	c, x := k.hold(a, "k")
	o := exited
	o.Final = true
	_, err := x.Finish(t.Context(), o)
	must(t, err)
	if n := k.rows(); n != "0" {
		t.Errorf("%s rows are left", n)
	}
	k.free(b, "the outcome was final")
	must(t, c.Release())
}

// TestMutexSweep: rows of mutexes that are never used again are deleted by later calls.
func TestMutexSweep(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.open("a"), k.open("b")
	for i := range 10 {
		c := k.claim(a, fmt.Sprint(i))
		_, err := c.Begin(t.Context(), startM(ledger.Mutex{Name: fmt.Sprint("old", i), Limit: 1}))
		must(t, err)
		k.claim(a, fmt.Sprint("w", i)) // a claim without rows
	}
	k.die(a)
	k.server.Exec(t, "update "+k.schema+".record set lease_until = clock_timestamp() - interval '1 s'")
	for range 10 {
		k.free(b, "another mutex")
	}
	if n := k.rows(); n != "0" {
		t.Errorf("%s rows are left", n)
	}
}

// TestMutexWaitersOfOneHost: calls that wait for each other keep no connection.
func TestMutexWaitersOfOneHost(t *testing.T) {
	k := newMutexKit(t)
	holder, _ := k.hold(k.open("b"), "holder")
	const n = 50
	done := make(chan error, n)
	for i := range n {
		l := k.open("a")
		c := k.claim(l, fmt.Sprint(i))
		go func() {
			err := c.Queue(t.Context(), oneM, ledger.Owner{})
			done <- errors.Join(err, c.Release(), l.Close())
		}()
		eventually(t, func() bool { return k.rows() == fmt.Sprint(i+2) })
	}
	eventually(t, func() bool {
		return k.server.Query(t, "select count(*) <= 3 from pg_stat_activity where query like '%"+k.schema+"%' and pid <> pg_backend_pid()") == "t"
	})
	must(t, holder.Release())
	for range n {
		must(t, <-done)
	}
}

// TestMutexLostWithLease: a claim whose lease had ended for a while does not have its mutex any more.
func TestMutexLostWithLease(t *testing.T) {
	k := newMutexKit(t)
	a, b := k.open("a"), k.open("b")
	c, x := k.hold(a, "k")
	_, err := x.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 1})
	must(t, err)
	k.expire("k")
	other, _ := k.hold(b, "other")
	if _, err := c.Begin(t.Context(), startM(oneM...)); !errors.As(err, new(*ledger.MutexError)) {
		t.Fatalf("Begin: got error %v, want a *MutexError", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Queue(t.Context(), oneM, ledger.Owner{}) }()
	eventually(t, func() bool { return k.rows() == "2" })
	must(t, other.Release())
	must(t, <-done)
	_, err = c.Begin(t.Context(), startM(oneM...))
	must(t, err)
	must(t, c.Release())
}

// TestMutexRace: calls of many hosts want a mutex at the same moment. Some wait, some do not.
func TestMutexRace(t *testing.T) {
	k := newMutexKit(t)
	two := []ledger.Mutex{{Name: "m", Limit: 2}, {Name: "n", Limit: 1}}
	var holders atomic.Int32
	var all sync.WaitGroup
	for host := range 6 {
		l := k.open(fmt.Sprint(host))
		all.Go(func() {
			for round := range 12 {
				mutexes, limit := two[:1], int32(2)
				if (host+round)%3 == 0 {
					mutexes, limit = []ledger.Mutex{{Name: "m", Limit: 1}, two[1]}, 1
				}
				if err := race(k, l, fmt.Sprint(host, round), mutexes, limit, &holders, round%2 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := k.rows(); n != "0" {
		t.Errorf("%s rows are left", n)
	}
}

func race(k *mutexKit, l *Ledger, key string, mutexes []ledger.Mutex, limit int32, holders *atomic.Int32, wait bool) error {
	c, err := l.claim(k.Context(), ledger.ID{Namespace: "n", Key: key})
	if err != nil {
		return err
	}
	if wait {
		err = c.Queue(k.Context(), mutexes, ledger.Owner{})
	}
	if err == nil {
		var x ledger.Execution
		if x, err = c.Begin(k.Context(), startM(mutexes...)); err == nil {
			if n := holders.Add(1); n > limit {
				err = fmt.Errorf("%d calls hold the mutex, whose limit is %d", n, limit)
			}
			_, e := x.Finish(k.Context(), exited)
			err = errors.Join(err, e)
			holders.Add(-1)
		} else if !wait && errors.As(err, new(*ledger.MutexError)) {
			err = nil
		}
	}
	return errors.Join(err, c.Release())
}
