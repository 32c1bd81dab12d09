package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// twoSpaces returns two views of one ledger's locks, as two processes have them.
func twoSpaces(t *testing.T, locks func(dir *directory) lockSpace) (a, b lockSpace) {
	dir := t.TempDir()
	a, b = locks(newDirectory(dir)), locks(newDirectory(dir))
	if there, err := a.exists(); there || err != nil {
		t.Fatalf("got %t, %v", there, err)
	}
	must(t, a.create())
	if there, err := b.exists(); !there || err != nil {
		t.Fatalf("got %t, %v", there, err)
	}
	return a, b
}

func wantHeld(t *testing.T, s lockSpace, n lockName, k kind, want bool) {
	t.Helper()
	got, err := s.held(n, k)
	must(t, err)
	if got != want {
		t.Fatalf("held: got %t, want %t", got, want)
	}
}

func TestLockIsExclusiveAlsoInOneProcess(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			n := nameOf(theKey)
			for _, k := range []kind{claimLock, lifeLock} {
				l, err := a.take(n, k)
				must(t, err)
				for _, s := range []lockSpace{a, b} {
					wantHeld(t, s, n, k, true)
					if _, err := s.take(n, k); !errors.Is(err, errHeld) {
						t.Fatalf("got error %v", err)
					}
					wantHeld(t, s, n, 1-k, false)
				}
				other, err := b.take(nameOf(ledger.ID{Namespace: "default", Key: "k", Window: "w"}), k)
				must(t, err)
				must(t, l.release())
				wantHeld(t, b, n, k, false)
				again, err := b.take(n, k)
				must(t, err)
				must(t, errors.Join(again.release(), other.release()))
			}
		})
	}
}

// TestInheritedLockOutlivesItsOwner: a copy of the descriptor is what a command
// has. Leaving the lock keeps it held by the copy, releasing it does not.
func TestInheritedLockOutlivesItsOwner(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			n := nameOf(theKey)
			for _, leave := range []bool{true, false} {
				l, err := a.take(n, lifeLock)
				must(t, err)
				inherited, err := unix.FcntlInt(l.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
				must(t, err)
				if leave {
					must(t, l.leave())
				} else {
					must(t, l.release())
				}
				wantHeld(t, b, n, lifeLock, leave)
				must(t, unix.Close(inherited))
				wantHeld(t, b, n, lifeLock, false)
			}
		})
	}
}

// TestAskingDisturbsNobody: a look at a lock never keeps anybody from taking it.
// (With flock it can for an instant; take bridges that with time.)
func TestAskingDisturbsNobody(t *testing.T) {
	a, b := twoSpaces(t, newLocks)
	n := nameOf(theKey)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := b.held(n, claimLock); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 1000 {
		l, err := a.take(n, claimLock)
		if err != nil {
			t.Error(err)
			break
		}
		must(t, l.release())
	}
	stop.Store(true)
	wg.Wait()
}

// TestQueueLetsOneWriterAtATime through, of several views.
func TestQueueLetsOneWriterAtATime(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			var inside, entered atomic.Int64
			var wg sync.WaitGroup
			for _, s := range []lockSpace{a, b} { // one goroutine each, as Ledger.mu sees to
				wg.Go(func() {
					for range 100 {
						turn, err := s.queue()
						if err != nil {
							t.Error(err)
							return
						}
						if inside.Add(1) != 1 {
							t.Error("two writers at once")
						}
						entered.Add(1)
						inside.Add(-1)
						turn.end()
					}
				})
			}
			wg.Wait()
			if entered.Load() != 200 {
				t.Errorf("%d writers of 200 came in", entered.Load())
			}
		})
	}
}

// TestWaitThatComesToNothingIsUndoneOnce: also one that was given up, whatever
// comes of it later.
func TestWaitThatComesToNothingIsUndoneOnce(t *testing.T) {
	fault := errors.New("fault")
	for _, test := range []struct {
		takes     time.Duration
		ends      error
		want      error
		wantUndos int
	}{
		{0, nil, nil, 0},
		{0, fault, fault, 1},
		{lockTimeout / 2, nil, nil, 0},
		{lockTimeout / 2, fault, fault, 1},
		{2 * lockTimeout, nil, errLocked, 1},
		{2 * lockTimeout, fault, errLocked, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			undos := 0
			err := inTime(func() error { time.Sleep(test.takes); return test.ends }, func() { undos++ })
			time.Sleep(2 * lockTimeout)
			synctest.Wait()
			if !errors.Is(err, test.want) || undos != test.wantUndos {
				t.Errorf("%+v: got error %v, %d undone", test, err, undos)
			}
		})
	}
}

// TestLocksThatWereRemovedAreNotTaken: a lock on a file that others cannot find
// excludes nobody.
func TestLocksThatWereRemovedAreNotTaken(t *testing.T) {
	place := made(t)
	l := opened(t, place)
	must(t, os.Rename(filepath.Join(place, "locks"), filepath.Join(place, "gone")))
	if _, err := l.Claim(t.Context(), theKey); err == nil {
		t.Error("a key was claimed without locks")
	}
	must(t, os.Rename(filepath.Join(place, "gone"), filepath.Join(place, "locks")))
	must(t, os.Link(filepath.Join(place, "locks"), filepath.Join(place, "more")))
	if _, err := l.Claim(t.Context(), theKey); !errors.Is(err, ledger.ErrCorrupt) && !errors.Is(err, ledger.ErrUnsafe) {
		t.Errorf("got error %v", err)
	}
}
