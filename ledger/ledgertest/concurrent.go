package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"idem/ledger"
)

var concurrentCases = []testCase{
	{"OneWinner", oneWinner, nil},
	{"OneAtATime", oneAtATime, nil},
	{"ManyKeys", manyKeys, nil},
	{"ListWhileWriting", listWhileWriting, nil},
	{"ReadingDoesNotDisturb", readingDoesNotDisturb, nil},
	{"GetSeesOneMoment", getSeesOneMoment, nil},
	{"ConcurrentOpenOfNewLedger", concurrentOpenOfNewLedger, nil},
}

const crowd = 20

// together runs f(0) to f(n-1) at once, and fails with the first error.
func (k *kit) together(n int, f func(i int) error) {
	k.Helper()
	errs := make(chan error, n)
	start := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			errs <- f(i)
		}()
	}
	close(start)
	for range n {
		if err := <-errs; err != nil {
			k.Error(err)
		}
	}
}

func isBusy(err error) bool {
	var busy *ledger.BusyError
	return errors.As(err, &busy)
}

// runOnce is kit.run for a goroutine, which must not call FailNow.
func (k *kit) runOnce(l ledger.Ledger, id ledger.ID, body func()) error {
	c, err := l.Claim(k.ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	x, err := c.Begin(k.ctx, newStart())
	if err != nil {
		return fmt.Errorf("Begin: %w", err)
	}
	body()
	if _, err := x.Finish(k.ctx, success); err != nil {
		return fmt.Errorf("Finish: %w", err)
	}
	return c.Release()
}

func (k *kit) handle(i int) ledger.Ledger {
	if i%2 == 0 {
		return k.a
	}
	return k.b
}

// oneWinner: when many handles claim a key at once, one gets it and the rest get a
// *BusyError.
func oneWinner(k *kit) {
	for round := range 5 {
		id := key(fmt.Sprint("round ", round))
		var mu sync.Mutex
		var won []ledger.Claim
		k.together(crowd, func(i int) error {
			c, err := k.handle(i).Claim(k.ctx, id)
			if err != nil && !isBusy(err) {
				return fmt.Errorf("Claim of a key that others claim: %w", err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, c)
			}
			return nil
		})
		if len(won) != 1 {
			k.Fatalf("%d of %d claims succeeded, want 1", len(won), crowd)
		}
		k.finish(k.begin(won[0]), success)
		k.release(won[0])
	}
}

// oneAtATime: every waiter gets the key at some time, and never two at the same time.
func oneAtATime(k *kit) {
	id := key("k")
	var inside atomic.Int32
	k.together(crowd, func(i int) error {
		l := k.handle(i)
		for {
			err := k.runOnce(l, id, func() {
				if inside.Add(1) != 1 {
					k.Error("two run the key at once")
				}
				inside.Add(-1)
			})
			if !isBusy(err) {
				return err
			}
			if err := l.Wait(k.ctx, id); err != nil {
				return fmt.Errorf("Wait: %w", err)
			}
		}
	})
	k.same(k.get(k.a, id).Attempts, crowd, "attempts")
	k.phase(id, ledger.PhaseSucceeded)
}

// manyKeys: writers of different keys may wait for each other, but must not fail.
func manyKeys(k *kit) {
	k.together(crowd, func(i int) error {
		for j := range 3 {
			if err := k.runOnce(k.handle(i), key(fmt.Sprint(i, " ", j)), func() {}); err != nil {
				return err
			}
		}
		return nil
	})
	k.same(len(k.list(k.a, ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}})), 3*crowd, "keys listed")
}

func listWhileWriting(k *kit) {
	const keys = 50
	done := make(chan error, 1)
	go func() {
		for i := range keys {
			if err := k.runOnce(k.a, key(fmt.Sprint(i)), func() {}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for before := 0; ; {
		select {
		case err := <-done:
			k.ok(err, "a run during List")
			k.same(len(k.list(k.b, ledger.Filter{})), keys, "keys listed at the end")
			return
		default:
		}
		seen := map[ledger.ID]bool{}
		for _, r := range k.list(k.b, ledger.Filter{}) {
			seen[r.ID] = true
			// A run may end between the read of its record and that of its locks. A
			// list must still show a state that existed.
			if r.Attempts != 1 || r.Current.Number != 1 || r.Current.RunID == "" {
				k.Fatalf("List returned a partial record: %+v", r)
			}
		}
		if len(seen) < before {
			k.Fatalf("List shows %d keys after %d", len(seen), before)
		}
		before = len(seen)
	}
}

// readingDoesNotDisturb: reading a key does not make it busy.
func readingDoesNotDisturb(k *kit) {
	id := key("k")
	k.interrupt(k.a, id) // makes each read check the locks
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 2 {
		readers.Go(func() {
			l := k.handle(i)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := l.Get(k.ctx, id); err != nil {
					k.Errorf("Get: %v", err)
				}
				if _, err := ledger.Collect(l.List(k.ctx, ledger.Filter{Phases: ledger.Phases{ledger.PhaseRunning}})); err != nil {
					k.Errorf("List: %v", err)
				}
				if err := l.Wait(k.ctx, key("free")); err != nil {
					k.Errorf("Wait: %v", err)
				}
			}
		})
	}
	for i := range 60 { // few rounds, because each one searches all processes
		c, err := k.handle(i).Claim(k.ctx, id)
		if err != nil {
			k.Errorf("Claim %d during reads: %v", i, err)
			break
		}
		if err := c.Release(); err != nil {
			k.Errorf("Release %d: %v", i, err)
		}
	}
	close(stop)
	readers.Wait()
}

// getSeesOneMoment: a key that is begun for the first time while it is read exists or does
// not exist. It is never damaged because only a part of it is stored yet.
func getSeesOneMoment(k *kit) {
	var now atomic.Pointer[ledger.ID]
	id := key("k")
	now.Store(&id)
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := k.b.Get(k.ctx, *now.Load()); err != nil {
				k.Errorf("Get: %v", err)
				return
			}
		}
	})
	for i := range 100 {
		id := key(fmt.Sprintf("k%d", i))
		now.Store(&id)
		if err := k.runOnce(k.a, id, func() {}); err != nil {
			k.Error(err)
		}
	}
	close(stop)
	reader.Wait()
}

// concurrentOpenOfNewLedger: many handles find no ledger and create it at the same time.
func concurrentOpenOfNewLedger(k *kit) {
	place := k.h.New(k.T)
	k.together(crowd, func(i int) error {
		l, err := k.h.Open(place)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		defer l.Close()
		return k.runOnce(l, key(fmt.Sprint(i)), func() {})
	})
	l, err := k.h.Open(place)
	k.ok(err, "open")
	k.same(len(k.list(l, ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}})), crowd, "keys of those who made the ledger")
	k.invariants(l)
	k.ok(l.Close(), "Close")
	if k.h.Check != nil {
		k.h.Check(k.T, place)
	}
}
