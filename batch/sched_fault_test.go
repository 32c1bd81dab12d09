package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idem/internal/testkit"
	"idem/items"
	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
	"idem/runner"
)

// TestLedgerFaults makes each call of the ledger fail once, before and after its work. No
// item may run twice, and a further call does the rest or finds the item interrupted.
func TestLedgerFaults(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at, calls := 1, 1; at <= calls; at++ {
			k := newSched(t)
			b := k.list(count, "a", "b", "c")
			handle := b.Runner.Ledger
			f := &ledgertest.Faulty{Ledger: handle, FailAt: at, After: after}
			b.Runner.Ledger = f
			r := b.run()
			b.Signals.Stop()
			if calls = len(f.Calls()) + 1; at == calls { // without a fault
				break
			}
			failed := f.Calls()[at-1]
			if v := r.Verdict(); failed != "Release" && v != VerdictLedger && v != VerdictUnrecorded {
				t.Errorf("%s, after=%v: got verdict %v, %v", failed, after, v, r.Counts)
			}
			k.mem.Crash(handle)
			next := k.list(count, "a", "b", "c").run()
			if next.Counts[Done]+next.Counts[DoneBefore]+next.Counts[Interrupted] != 3 {
				t.Errorf("%s, after=%v: then got %v", failed, after, next.Counts)
			}
			effects := strings.Fields(k.side())
			for _, name := range []string{"a", "b", "c"} {
				n := 0
				for _, e := range effects {
					if e == name {
						n++
					}
				}
				if n > 1 || n == 0 && next.Counts[Interrupted] == 0 {
					t.Errorf("%s, after=%v: %s ran %d times", failed, after, name, n)
				}
			}
		}
	}
}

// TestItemIsTooLong has an item that no command line can have.
func TestItemIsTooLong(t *testing.T) {
	k := newSched(t)
	b := k.list(count, "a", "long", "b")
	b.change = func(c *runner.Call) {
		if c.ID == idOf("long") {
			c.Argv = append(c.Argv, strings.Repeat("x", 200<<10))
		}
	}
	b.want("2 done, 1 failed", VerdictFailed)
	k.wantSide("a b")
	rec, err := k.mem.Open().Get(t.Context(), idOf("long"))
	must(t, err)
	if rec.Phase() != ledger.PhaseNone {
		t.Errorf("got phase %v of the item that did not run", rec.Phase())
	}
}

// scarce is a ledger whose first claims find no room.
type scarce struct {
	ledger.Ledger
	mu   sync.Mutex
	left int
}

func (s *scarce) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		s.left--
		return nil, &os.PathError{Op: "open", Path: "locks", Err: syscall.EMFILE}
	}
	return s.Ledger.Claim(ctx, id)
}

func TestNoRoomIsNoFailure(t *testing.T) {
	k := newSched(t)
	b := k.list(count, numbers(10)...)
	b.Slots = 4
	b.Runner.Ledger = &scarce{Ledger: b.Runner.Ledger, left: 3}
	rooms := 0
	b.hear = func(n Notice) {
		if n.Kind == KindRoom {
			rooms++
		}
	}
	b.want("10 done", VerdictDone)
	if rooms != 3 {
		t.Errorf("got %d notices, want 3", rooms)
	}
}

// TestNeverRoom has limits that leave no room for a single command. It ends.
func TestNeverRoom(t *testing.T) {
	k := newSched(t)
	b := k.list(count, numbers(3)...)
	b.Runner.Ledger = &scarce{Ledger: b.Runner.Ledger, left: 1000}
	b.want("3 not reached", VerdictLedger)
}

// TestNoRoomToStart lowers the limit of open files until the second item has failed to
// start once.
func TestNoRoomToStart(t *testing.T) {
	k := newSched(t)
	b := k.list(count, "a", "b", "c")
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	restore := func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }
	defer restore()
	b.Prepare = func(_ *runner.Task, e Entry, _ int) error {
		if e.Key == "b" {
			b.Prepare = nil
			must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}))
		}
		return nil
	}
	rooms := 0
	b.hear = func(n Notice) {
		if n.Kind == KindRoom {
			rooms++
			restore()
		}
	}
	b.want("3 done", VerdictDone)
	if rooms == 0 {
		t.Error("the limit had no effect")
	}
	k.wantSide("a b c")
}

// TestBusyFile has the file of the command open for writing: during the first start, or for ever.
func TestBusyFile(t *testing.T) {
	testkit.Slow(t, "each start of a busy file is tried for a second")
	for _, closes := range []bool{true, false} {
		k := newSched(t)
		b := k.list("", numbers(8)...)
		b.Slots = 4
		file := filepath.Join(k.dir, "command")
		must(t, os.WriteFile(file, []byte("#!/bin/sh\ncd \"$1\" && echo \"$2\" >>side\n"), 0o700))
		open, err := os.OpenFile(file, os.O_WRONLY, 0)
		must(t, err)
		defer open.Close()
		b.change = func(c *runner.Call) { c.Argv = []string{file, k.dir, c.Argv[len(c.Argv)-1]} }
		notices := 0
		b.hear = func(n Notice) {
			if n.Kind != KindBusy {
				return
			}
			if notices++; closes {
				open.Close()
			}
		}
		if closes {
			b.want("8 done", VerdictDone)
			continue
		}
		r := b.want("8 not reached", VerdictCommand)
		if start, ok := errors.AsType[*proc.StartError](r.Command); !ok || start.Code != proc.CannotRun || notices != maxBusy {
			t.Errorf("got %v after %d notices, want a busy file after %d", r.Command, notices, maxBusy)
		}
	}
}

func TestBadLines(t *testing.T) {
	for _, skip := range []bool{false, true} {
		k := newSched(t)
		n := 0
		b := k.from(count, func() (Entry, error) {
			switch n++; n {
			case 1:
				return entry(1, "a"), nil
			case 2:
				return Entry{}, &items.BadLine{Line: 2, Why: "is bad"}
			case 3:
				return entry(2, "b"), nil
			}
			return Entry{}, io.EOF
		})
		b.SkipBad = skip
		r := b.run()
		if r.BadLines != 1 || r.Verdict() != VerdictMismatch || (r.Input != nil) == skip {
			t.Errorf("skip=%v: got %+v", skip, r)
		}
		if skip {
			k.wantSide("a b")
		} else {
			k.wantSide("a")
		}
	}
}

func TestMutexOfItems(t *testing.T) {
	k := newSched(t)
	b := k.list(`mkdir lock && `+count+`rmdir lock`, numbers(8)...)
	b.Slots = 4
	b.change = func(c *runner.Call) { c.Mutexes = []ledger.Mutex{{Name: "m", Limit: 1}} }
	b.want("8 done", VerdictDone)

	b = k.list(count, "x", "y")
	b.Wait.Set = false
	b.change = func(c *runner.Call) { c.Mutexes = []ledger.Mutex{{Name: "held", Limit: 1}} }
	claim, err := k.mem.Open().Claim(t.Context(), idOf("holder"))
	must(t, err)
	_, err = claim.Begin(t.Context(), ledger.Start{RunID: "holder", Mutexes: []ledger.Mutex{{Name: "held", Limit: 1}}})
	must(t, err)
	b.want("2 busy", VerdictBusy)
}
