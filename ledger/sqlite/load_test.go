package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"idem/internal/testkit"
	"idem/ledger"
)

// TestManyCallersMakeOneLedger starts many callers at a path without a ledger. One of them
// creates the ledger, the other ones find it, and none fails.
func TestManyCallersMakeOneLedger(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				place := filepath.Join(t.TempDir(), "a", "ledger")
				handles := make([]*Ledger, 4)
				for i := range handles {
					l, err := Options{}.open(place, locks)
					must(t, err)
					defer l.Close()
					handles[i] = l
				}
				const callers = 50
				start := make(chan struct{})
				errs := make([]error, callers)
				var wg sync.WaitGroup
				for i := range callers {
					wg.Go(func() {
						<-start
						id := ledger.ID{Key: fmt.Sprint(i)}
						_, errs[i] = run(handles[i%len(handles)], id, fmt.Sprint("r", i), []byte(id.Key), success)
					})
				}
				close(start)
				wg.Wait()
				must(t, errors.Join(errs...))
				list, err := ledger.Collect(handles[0].List(t.Context(), ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}}))
				must(t, err)
				if len(list) != callers {
					t.Errorf("got %d keys, want %d", len(list), callers)
				}
				integrity(t, place)
			}
		})
	}
}

// filled returns a ledger with n keys, stored in one transaction. Every tenth key is
// running, and every third of the remaining ones has failed.
func filled(t testing.TB, n int) *Ledger {
	t.Helper()
	l := opened(t, fresh(t))
	c, err := l.Claim(t.Context(), theKey) // creates the ledger
	must(t, err)
	must(t, c.Release())
	ctx := context.Background()
	err = l.write(ctx, func(tx querier) error {
		for i := range n {
			id := ledger.ID{Namespace: "default", Key: fmt.Sprintf("%c:%d", 'a'+i%2, i)}
			row := recordRow{rec: ledger.Record{ID: id, Generation: 1, Fence: 1, Attempts: 1}}
			if err := writeRecord(ctx, tx, &row); err != nil {
				return err
			}
			a := attemptRow{record: row.rowid, storage: storageNone, a: ledger.Attempt{Number: 1, RunID: fmt.Sprint(i), State: ledger.Succeeded, Inputs: []byte("x")}}
			switch {
			case i%10 == 0:
				a.a.State = ledger.Running
			case i%3 == 0:
				a.a.State = ledger.Failed
			}
			if err := insertAttempt(ctx, tx, id, &a); err != nil {
				return err
			}
			row.current = a.rowid
			if err := writeRecord(ctx, tx, &row); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, err)
	return l
}

// TestListOverManyPages checks filters that leave few or no records of a page.
func TestListOverManyPages(t *testing.T) {
	const n = 2*listFirst + 203
	l := filled(t, n)
	phase := func(i int) ledger.Phase {
		switch {
		case i%10 == 0:
			return ledger.PhaseInterrupted // the key has no holder
		case i%3 == 0:
			return ledger.PhaseFailed
		}
		return ledger.PhaseSucceeded
	}
	for _, f := range []ledger.Filter{
		{},
		{Limit: 1},
		{Limit: listPage - 1},
		{Limit: listPage},
		{Limit: listPage + 1},
		{Limit: listFirst + 1},
		{Limit: 2 * n},
		{Phases: ledger.Phases{ledger.PhaseInterrupted}},
		{Phases: ledger.Phases{ledger.PhaseRunning}},
		{Phases: ledger.Phases{ledger.PhaseFailed}, Limit: 200},
		{Phases: ledger.Phases{ledger.PhaseSucceeded}, Globs: ledger.Globs{"b:*"}},
		{Phases: ledger.Phases{ledger.PhaseRetry}},
		{Globs: ledger.Globs{"a:*"}, Limit: listPage + 7},
		{Globs: ledger.Globs{"a:0"}}, // the oldest key
		{Namespace: "none"},
	} {
		got, err := ledger.Collect(l.List(t.Context(), f))
		must(t, err)
		var want []int
		for i := n - 1; i >= 0 && (f.Limit == 0 || len(want) < f.Limit); i-- {
			if f.Namespace != "none" && f.Phases.Has(phase(i)) && f.Globs.Match(fmt.Sprintf("%c:%d", 'a'+i%2, i)) {
				want = append(want, i)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%+v: got %d keys, want %d", f, len(got), len(want))
			continue
		}
		for at, i := range want {
			if r := got[at]; r.Current.RunID != fmt.Sprint(i) || r.Phase() != phase(i) || r.Current.Inputs != nil {
				t.Errorf("%+v: at %d got %+v, want key %d", f, at, r, i)
				break
			}
		}
	}
}

// TestListDuringRuns checks that a key that runs again while a list is read is listed
// exactly once.
func TestListDuringRuns(t *testing.T) {
	testkit.Slow(t, "hundreds of runs with readers at the same time")
	const n = 2*listFirst + 203
	l := filled(t, n)
	oldest := func(i int) ledger.ID { return ledger.ID{Namespace: "default", Key: fmt.Sprintf("%c:%d", 'a'+i%2, i)} }
	lists, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; lists.Err() == nil; i++ {
			if _, err := run(l, oldest(i%n), fmt.Sprint("again ", i), nil, success); err != nil {
				t.Error(err)
				return
			}
		}
	})
	reader := opened(t, l.Place())
	for range 20 {
		list, err := ledger.Collect(reader.List(t.Context(), ledger.Filter{}))
		must(t, err)
		listed := map[ledger.ID]bool{}
		for _, r := range list {
			listed[r.ID] = true
		}
		if len(list) != n || len(listed) != n {
			t.Fatalf("%d rows with %d keys of %d", len(list), len(listed), n)
		}
	}
	stop()
	wg.Wait()
}

// TestLogStaysSmallDuringReads checks that List keeps no transaction open. With an open
// transaction, SQLite could not reuse the write-ahead log.
func TestLogStaysSmallDuringReads(t *testing.T) {
	testkit.Slow(t, "hundreds of runs with readers at the same time")
	l := filled(t, 2*listPage)
	readers, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		reader := opened(t, l.Place())
		wg.Go(func() {
			for readers.Err() == nil {
				if _, err := ledger.Collect(reader.List(t.Context(), ledger.Filter{})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var most int64
	out := make([]byte, 16<<10)
	for i := range 200 {
		runs(t, l, ledger.ID{Key: fmt.Sprint(i)}, fmt.Sprint("run ", i), out, success)
		info, err := os.Stat(l.dir.File("ledger.db-wal"))
		must(t, err)
		most = max(most, info.Size())
	}
	stop()
	wg.Wait()
	if most > 8<<20 {
		t.Errorf("the log grew to %d bytes", most)
	}
}
