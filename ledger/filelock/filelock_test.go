package filelock

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/localdir"
)

var theKey = ledger.ID{Namespace: "default", Key: "k"}

// spaces are the two mechanisms. Most tests run with both.
var spaces = map[string]func(*localdir.Dir) Space{"default": New, "flock": NewFlocks}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// twoSpaces returns two Spaces of the same ledger, as two processes have them.
func twoSpaces(t *testing.T, locks func(dir *localdir.Dir) Space) (a, b Space) {
	dir := t.TempDir()
	a, b = locks(localdir.New(dir)), locks(localdir.New(dir))
	if there, err := a.Exists(); there || err != nil {
		t.Fatalf("got %t, %v", there, err)
	}
	must(t, a.Create(nil))
	if there, err := b.Exists(); !there || err != nil {
		t.Fatalf("got %t, %v", there, err)
	}
	return a, b
}

func wantHeld(t *testing.T, s Space, n Name, k Kind, want bool) {
	t.Helper()
	got, err := s.Held(n, k)
	must(t, err)
	if got != want {
		t.Fatalf("held: got %t, want %t", got, want)
	}
}

func TestLockIsExclusiveAlsoInOneProcess(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			n := NameOf(theKey)
			for _, k := range []Kind{Claim, Life} {
				l, err := a.Take(n, k)
				must(t, err)
				for _, s := range []Space{a, b} {
					wantHeld(t, s, n, k, true)
					if _, err := s.Take(n, k); !errors.Is(err, ErrHeld) {
						t.Fatalf("got error %v", err)
					}
					wantHeld(t, s, n, 1-k, false)
				}
				other, err := b.Take(NameOf(ledger.ID{Namespace: "default", Key: "k", Window: "w"}), k)
				must(t, err)
				must(t, l.Release())
				wantHeld(t, b, n, k, false)
				again, err := b.Take(n, k)
				must(t, err)
				must(t, errors.Join(again.Release(), other.Release()))
			}
		})
	}
}

// TestNamesDiffer checks that records, places of mutexes and tickets have different locks. Their
// texts may be equal when they are joined.
func TestNamesDiffer(t *testing.T) {
	seen := map[Name]string{}
	add := func(n Name, what string) {
		t.Helper()
		if other, ok := seen[n]; ok {
			t.Errorf("%s has the locks of %s", what, other)
		}
		seen[n] = what
	}
	texts := []string{"", "1", "11", "mutex", "ticket", "mutex1", "1mutex", "\x00"}
	for _, a := range texts {
		for _, b := range texts {
			for _, c := range texts {
				add(NameOf(ledger.ID{Namespace: a, Key: b, Window: c}), fmt.Sprintf("record %q %q %q", a, b, c))
			}
			for _, place := range []int{1, 11, 111} {
				add(PlaceName(a, b, place), fmt.Sprintf("place %d of %q %q", place, a, b))
			}
		}
	}
	for _, ticket := range []int64{1, 11, 111} {
		add(TicketName(ticket), fmt.Sprint("ticket ", ticket))
	}
}

// TestInheritedLockOutlivesItsOwner uses a copy of the descriptor, as a command has it.
// After Leave the copy still holds the lock. After Release it does not.
func TestInheritedLockOutlivesItsOwner(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			n := NameOf(theKey)
			for _, leave := range []bool{true, false} {
				l, err := a.Take(n, Life)
				must(t, err)
				inherited, err := unix.FcntlInt(l.File.Fd(), unix.F_DUPFD_CLOEXEC, 0)
				must(t, err)
				if leave {
					must(t, l.Leave())
				} else {
					must(t, l.Release())
				}
				wantHeld(t, b, n, Life, leave)
				must(t, unix.Close(inherited))
				wantHeld(t, b, n, Life, false)
			}
		})
	}
}

// TestHeldDoesNotDisturbTake checks that Held never makes Take fail. (With flock, Held
// takes the lock for an instant, so Take tries again for some time.)
func TestHeldDoesNotDisturbTake(t *testing.T) {
	a, b := twoSpaces(t, New)
	n := NameOf(theKey)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := b.Held(n, Claim); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 1000 {
		l, err := a.Take(n, Claim)
		if err != nil {
			t.Error(err)
			break
		}
		must(t, l.Release())
	}
	stop.Store(true)
	wg.Wait()
}

// TestQueueLetsOneWriterAtATime checks that Queue admits one writer at a time.
func TestQueueLetsOneWriterAtATime(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			a, b := twoSpaces(t, locks)
			var inside, entered atomic.Int64
			var wg sync.WaitGroup
			for _, s := range []Space{a, b} { // one goroutine each, as with Ledger.mu
				wg.Go(func() {
					for range 100 {
						turn, err := s.Queue()
						if err != nil {
							t.Error(err)
							return
						}
						if inside.Add(1) != 1 {
							t.Error("two writers at once")
						}
						entered.Add(1)
						inside.Add(-1)
						must(t, turn.Leave())
					}
				})
			}
			wg.Wait()
			if entered.Load() != 200 {
				t.Errorf("%d writers of 200 got their turn", entered.Load())
			}
		})
	}
}

// TestFailedWaitIsUndoneOnce includes waits that were given up and that end later, with
// or without an error.
func TestFailedWaitIsUndoneOnce(t *testing.T) {
	fault := errors.New("fault")
	for _, test := range []struct {
		takes     time.Duration
		ends      error
		want      error
		wantUndos int
	}{
		{0, nil, nil, 0},
		{0, fault, fault, 1},
		{Timeout / 2, nil, nil, 0},
		{Timeout / 2, fault, fault, 1},
		{2 * Timeout, nil, ErrTimeout, 1},
		{2 * Timeout, fault, ErrTimeout, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			undos := 0
			err := inTime(func() error { time.Sleep(test.takes); return test.ends }, func() { undos++ })
			time.Sleep(2 * Timeout)
			synctest.Wait()
			if !errors.Is(err, test.want) || undos != test.wantUndos {
				t.Errorf("%+v: got error %v, %d undone", test, err, undos)
			}
		})
	}
}
