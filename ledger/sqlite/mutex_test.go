package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
)

var theMutex = []ledger.Mutex{{Name: "m", Limit: 1}}

func named(key string) ledger.ID { return ledger.ID{Namespace: "default", Key: key} }

func claimed(t *testing.T, l *Ledger, key string) ledger.Claim {
	t.Helper()
	c, err := l.Claim(t.Context(), named(key))
	must(t, err)
	t.Cleanup(func() { _ = c.Release() })
	return c
}

func beginWith(c ledger.Claim, runID string, mutexes []ledger.Mutex) (ledger.Execution, error) {
	return c.Begin(context.Background(), ledger.Start{RunID: runID, MaxOutput: -1, Mutexes: mutexes})
}

// wantFull checks that Begin finds no free place, and returns the state in its error.
func wantFull(t *testing.T, c ledger.Claim, mutexes []ledger.Mutex) ledger.MutexState {
	t.Helper()
	var e *ledger.MutexError
	if _, err := beginWith(c, "refused", mutexes); !errors.As(err, &e) {
		t.Fatalf("Begin: got error %v, want a *MutexError", err)
	}
	return e.State
}

func mutexRows(t *testing.T, place string) int64 {
	t.Helper()
	return asked(t, place, "select count(*) from mutexes")
}

// TestMutexIsFreeAfterAFailedBegin makes the transaction fail after the mutexes are taken. The
// mutexes are free at once, and a waiter stays in line.
func TestMutexIsFreeAfterAFailedBegin(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			l, err := Options{}.open(place, locks)
			must(t, err)
			t.Cleanup(func() { l.Close() })
			mutexes := []ledger.Mutex{{Name: "m", Limit: 1}, {Name: "n", Limit: 2}}
			c, other := claimed(t, l, "k"), claimed(t, l, "other")
			raw(t, place, "create trigger fails before insert on attempts begin select raise(abort, 'no'); end")
			for _, queue := range []bool{false, true} {
				if queue {
					must(t, c.Queue(t.Context(), mutexes, ledger.Owner{}))
				}
				if _, err := beginWith(c, "r", mutexes); err == nil || errors.As(err, new(*ledger.MutexError)) {
					t.Fatalf("got error %v", err)
				}
				for i, m := range mutexes {
					lock, err := l.locks.Take(filelock.PlaceName("default", m.Name, 1), filelock.Life)
					if err != nil {
						t.Fatalf("mutex %d: got error %v", i, err)
					}
					must(t, lock.Release())
				}
			}
			raw(t, place, "drop trigger fails")
			wantFull(t, other, mutexes) // c is in line
			_, err = beginWith(c, "r", mutexes)
			must(t, err)
			if n := mutexRows(t, place); n != 2 {
				t.Errorf("got %d rows, want the 2 places", n)
			}
		})
	}
}

// TestPlaceWithoutARow: a place is locked by a Begin that has failed and has not unlocked yet.
// It counts as held, and Queue waits for the lock.
func TestPlaceWithoutARow(t *testing.T) {
	l := opened(t, fresh(t))
	c := claimed(t, l, "k")
	lock, err := l.locks.Take(filelock.PlaceName("default", "m", 1), filelock.Life)
	must(t, err)
	if s := wantFull(t, c, theMutex); len(s.Holders)+len(s.Waiters) > 0 {
		t.Errorf("got state %+v", s)
	}
	wantFull(t, c, []ledger.Mutex{{Name: "m", Limit: 2}}) // the limit of the place is not known
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Queue(ctx, theMutex, ledger.Owner{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Queue: got error %v", err)
	}
	done := make(chan error)
	go func() { done <- c.Queue(t.Context(), theMutex, ledger.Owner{}) }()
	must(t, lock.Release())
	must(t, <-done)
	_, err = beginWith(c, "r", theMutex)
	must(t, err)
}

// TestRowsOfMutexesAreFew: rows of places and tickets that are no longer used are replaced, so
// their number does not grow with the number of calls.
func TestRowsOfMutexesAreFew(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	three := []ledger.Mutex{{Name: "m", Limit: 3}, {Name: "n", Limit: 3}}
	for round := range 3 {
		var claims []ledger.Claim
		for i := range 3 {
			c := claimed(t, l, fmt.Sprint(i))
			_, err := beginWith(c, fmt.Sprint("r", round, i), three)
			must(t, err)
			claims = append(claims, c)
		}
		for i := range 5 {
			c := claimed(t, l, fmt.Sprint("waiter", i))
			if err := c.Queue(done, three, ledger.Owner{}); !errors.Is(err, context.Canceled) {
				t.Fatalf("Queue: got error %v", err)
			}
			must(t, c.Release())
			if n := mutexRows(t, place); n != 2*(3+1) {
				t.Fatalf("got %d rows, want 3 places and a ticket for each mutex", n)
			}
		}
		for _, c := range claims {
			must(t, c.Release())
		}
	}
	c := claimed(t, l, "k")
	_, err := beginWith(c, "r", []ledger.Mutex{{Name: "m", Limit: 1}, {Name: "n", Limit: 1}})
	must(t, err)
	if n := mutexRows(t, place); n != 2 {
		t.Errorf("got %d rows, want 2 places", n)
	}
}

// TestMutexesOfCustomersLeaveFewRows: calls delete the rows of mutexes that are not used again,
// whatever the order of the names is, and keep those of holders.
func TestMutexesOfCustomersLeaveFewRows(t *testing.T) {
	for order, name := range map[string]func(i int) string{
		"growing": func(i int) string { return fmt.Sprintf("customer:%03d", i) },
		"falling": func(i int) string { return fmt.Sprintf("customer:%03d", 999-i) },
		"mixed":   func(i int) string { return fmt.Sprintf("customer:%03d", i*37%100) },
	} {
		t.Run(order, func(t *testing.T) {
			place := fresh(t)
			l := opened(t, place)
			for _, held := range []string{"a", "customer:050x", "z"} {
				_, err := beginWith(claimed(t, l, held), "holder "+held, []ledger.Mutex{{Name: held, Limit: 1}})
				must(t, err)
			}
			for i := range 100 {
				c := claimed(t, l, fmt.Sprint("k", i))
				e, err := beginWith(c, fmt.Sprint("r", i), []ledger.Mutex{{Name: name(i), Limit: 1}})
				must(t, err)
				_, err = e.Finish(t.Context(), ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit})
				must(t, err)
				must(t, c.Release())
			}
			if n := mutexRows(t, place); n > 3+10 {
				t.Errorf("got %d rows, want those of 3 holders and a few more", n)
			}
			states, err := l.Mutexes(t.Context(), "default")
			must(t, err)
			if len(states) != 3 {
				t.Errorf("got %+v, want 3 mutexes with a holder", states)
			}
		})
	}
}

// TestFreePlacesAreUsedAgain: places are numbered from 1 to the limit, whatever the order in
// which they become free.
func TestFreePlacesAreUsedAgain(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	five := []ledger.Mutex{{Name: "m", Limit: 5}}
	claims := map[int]ledger.Claim{}
	take := func(i int) {
		t.Helper()
		claims[i] = claimed(t, l, fmt.Sprint(i))
		_, err := beginWith(claims[i], fmt.Sprint("r", i), five)
		must(t, err)
	}
	for i := range 5 {
		take(i)
	}
	for i, free := range [][]int{{3}, {0, 4}, {2, 1, 3}} {
		for _, n := range free {
			must(t, claims[n].Release())
		}
		for _, n := range free {
			take(n)
		}
		other := claimed(t, l, fmt.Sprint("other", i))
		if s := wantFull(t, other, five); len(s.Holders) != 5 {
			t.Errorf("got %d holders", len(s.Holders))
		}
	}
	if n := asked(t, place, "select max(place) from mutexes"); n != 5 {
		t.Errorf("got place %d", n)
	}
}

// TestDamagedMutexesAdmitNoCall changes each column of the row of a held place. No call gets the
// mutex while its place is locked, whatever its limit. Other mutexes and keys are not affected.
func TestDamagedMutexesAdmitNoCall(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	held, err := l.Claim(t.Context(), ledger.ID{Namespace: "default", Key: "k", Window: "w"})
	must(t, err)
	t.Cleanup(func() { _ = held.Release() })
	_, err = held.Begin(t.Context(), ledger.Start{
		RunID: "r", Owner: ledger.Owner{Host: "host", PID: 4711, User: "user"}, Mutexes: []ledger.Mutex{{Name: "m", Limit: 2}},
	})
	must(t, err)
	caller, other := claimed(t, l, "caller"), claimed(t, l, "other")
	raw(t, place, "create table intact as select * from mutexes")
	for _, column := range columnsOf(t, place, "mutexes") {
		for _, value := range []string{column + " || 'x'", "x''", "-" + column + " - 1"} {
			raw(t, place, "update mutexes set "+column+"="+value)
			for _, limit := range []int{1, 3} {
				_, err := beginWith(caller, "caller", []ledger.Mutex{{Name: "m", Limit: limit}})
				if !errors.Is(err, ledger.ErrCorrupt) && !errors.As(err, new(*ledger.MutexError)) {
					t.Errorf("%s = %s: got error %v", column, value, err)
				}
			}
			if _, err := l.Mutexes(t.Context(), ""); !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("%s = %s: Mutexes: got error %v", column, value, err)
			}
			e, err := beginWith(other, "other", []ledger.Mutex{{Name: "free", Limit: 1}})
			if err != nil {
				t.Fatalf("%s = %s: another mutex: got error %v", column, value, err)
			}
			_, err = e.Finish(t.Context(), failure)
			must(t, err)
			must(t, other.Release())
			other = claimed(t, l, "other")
			raw(t, place, "delete from mutexes; insert into mutexes select * from intact")
		}
	}
	if s := wantFull(t, caller, theMutex); len(s.Holders) != 1 {
		t.Errorf("got state %+v after all repairs", s)
	}
}

// TestDamagedWaiterHoldsUpNoOtherLine changes each column of the row of a waiter. A call in the
// line of another mutex gets on.
func TestDamagedWaiterHoldsUpNoOtherLine(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	_, err := beginWith(claimed(t, l, "holder"), "r", theMutex)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	waiter, gone := claimed(t, l, "waiter"), make(chan struct{})
	go func() { _ = waiter.Queue(ctx, theMutex, ledger.Owner{}); close(gone) }()
	t.Cleanup(func() { cancel(); <-gone })
	for asked(t, place, "select count(*) from mutexes where ticket>0") == 0 {
		time.Sleep(time.Millisecond)
	}
	raw(t, place, "create table intact as select * from mutexes")
	for _, column := range columnsOf(t, place, "mutexes") {
		for _, value := range []string{column + " || 'x'", "x''", "-" + column + " - 1", "9223372036854775807"} {
			raw(t, place, "update mutexes set "+column+"="+value+" where ticket>0")
			c := claimed(t, l, "other")
			must(t, c.Queue(t.Context(), []ledger.Mutex{{Name: "free", Limit: 1}}, ledger.Owner{}))
			_, err := beginWith(c, "other", []ledger.Mutex{{Name: "free", Limit: 1}})
			if err != nil {
				t.Errorf("%s = %s: got error %v", column, value, err)
			}
			must(t, c.Release())
			raw(t, place, "delete from mutexes; insert into mutexes select * from intact")
		}
	}
}

func columnsOf(t *testing.T, place, table string) (names []string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(place, "ledger.db"))
	must(t, err)
	defer db.Close()
	rows, err := db.Query("select * from " + table + " limit 0")
	must(t, err)
	defer rows.Close()
	names, err = rows.Columns()
	must(t, err)
	return names
}
