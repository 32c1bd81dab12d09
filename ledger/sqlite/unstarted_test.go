package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"idem/ledger"
	"idem/ledger/filelock"
)

// lists skips the test where there are no lists of attempts that were not started. It
// returns the path of a list.
func lists(t testing.TB) func(name string) string {
	t.Helper()
	u := filelock.NewUnstarted()
	defer u.Close()
	at := u.Add("probe")
	if at.List == "" {
		t.Skip("there is no file system in memory at a known place")
	}
	must(t, at.Remove())
	return func(name string) string { return "/dev/shm/idem-" + name }
}

// batch is a handle of a batch that can die.
type batch struct {
	*Ledger
	t testing.TB
}

func newBatch(t testing.TB, place string) batch {
	t.Helper()
	l, err := harness(filelock.New, false).Open(place)
	must(t, err)
	b := batch{l.(*Ledger), t}
	b.Sustain()
	removeList(t, b.unstarted.Load().Add("probe").List)
	return b
}

// removeList removes a list at the end of the test.
func removeList(t testing.TB, list string) {
	t.Cleanup(func() { _ = os.Remove("/dev/shm/idem-" + list) })
}

// die ends the locks, as the death of the process does.
func (b batch) die() { b.locks.(*mortal).die() }

// begin begins an attempt without starting its command.
func (b batch) begin(id ledger.ID, runID string) ledger.Execution {
	b.t.Helper()
	c, err := b.Claim(b.t.Context(), id)
	must(b.t, err)
	x, err := c.Begin(b.t.Context(), ledger.Start{RunID: runID, Fingerprint: "h1:f", MaxOutput: -1})
	must(b.t, err)
	return x
}

func (b batch) start(id ledger.ID, runID string) ledger.Execution {
	b.t.Helper()
	x := b.begin(id, runID)
	x.(ledger.Inheriting).Descriptors()
	return x
}

// view is all that the methods that read say about theKey.
type view struct {
	Phase    ledger.Phase
	Listed   []ledger.Phase // by List with each phase
	Runs     []string
	Attempts int
}

func look1(t testing.TB, l *Ledger) view {
	t.Helper()
	rec, err := l.Get(t.Context(), theKey)
	must(t, err)
	v := view{Phase: rec.Phase(), Attempts: rec.Attempts}
	for _, phase := range []ledger.Phase{"", ledger.PhaseRetry, ledger.PhaseRunning, ledger.PhaseInterrupted, ledger.PhaseSucceeded, ledger.PhaseFailed} {
		var phases ledger.Phases // all
		if phase != "" {
			phases = ledger.Phases{phase}
		}
		all, err := ledger.Collect(l.List(t.Context(), ledger.Filter{Phases: phases}))
		must(t, err)
		for _, r := range all {
			if r.ID == theKey {
				v.Listed = append(v.Listed, phase)
			}
		}
	}
	history, err := l.Attempts(t.Context(), theKey)
	must(t, err)
	for _, a := range history {
		v.Runs = append(v.Runs, fmt.Sprint(a.RunID, " ", a.State, " ", a.Reason))
	}
	return v
}

func wantView(t testing.TB, l *Ledger, want view) {
	t.Helper()
	if d := cmp.Diff(want, look1(t, l)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestNeverStarted lets a batch die between Begin and the start of the command, after
// different histories. The history is then as before, for all that read it and for the
// next attempt. Only the fence is not taken back.
func TestNeverStarted(t *testing.T) {
	lists(t)
	for name, history := range map[string]func(t *testing.T, l *Ledger){
		"nothing": func(*testing.T, *Ledger) {},
		"failure": func(t *testing.T, l *Ledger) { runs(t, l, theKey, "f", nil, failure) },
		"success": func(t *testing.T, l *Ledger) { runs(t, l, theKey, "s", []byte("out"), success) },
		"mark": func(t *testing.T, l *Ledger) {
			runs(t, l, theKey, "f", nil, failure)
			settle(t, l, "m", ledger.None)
		},
		"interrupted": func(t *testing.T, l *Ledger) {
			runs(t, l, theKey, "f", nil, failure)
			b := newBatch(t, l.dir.Path())
			b.start(theKey, "i")
			b.die()
		},
		"interrupted first": func(t *testing.T, l *Ledger) {
			b := newBatch(t, l.dir.Path())
			b.start(theKey, "i")
			b.die()
		},
		"forgotten": func(t *testing.T, l *Ledger) {
			runs(t, l, theKey, "f", nil, failure)
			must(t, l.Forget(t.Context(), theKey))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := opened(t, fresh(t))
			runs(t, l, ledger.ID{Key: "first"}, "first", nil, success)
			history(t, l)
			before, err := l.Get(t.Context(), theKey)
			must(t, err)
			want := look1(t, l)
			for _, runID := range []string{"n1", "n2"} { // the second one replaces the first
				b := newBatch(t, l.dir.Path())
				b.begin(theKey, runID)
				if v := look1(t, l); v.Phase != ledger.PhaseRunning {
					t.Fatalf("while the batch lives: got %+v", v)
				}
				b.die()
				wantView(t, l, want)
			}
			must(t, l.Wait(t.Context(), theKey))
			c, err := l.Claim(t.Context(), theKey)
			must(t, err)
			rec, err := c.Record(t.Context())
			must(t, err)
			if rec.Phase() != before.Phase() || rec.Current.RunID != before.Current.RunID {
				t.Errorf("under the claim: got %+v, want %+v", rec, before)
			}
			x, err := c.Begin(t.Context(), ledger.Start{RunID: "real", MaxOutput: -1})
			must(t, err)
			if x.Attempt().Number != before.Attempts+1 || x.Fence() != before.Fence+3 {
				t.Errorf("got attempt %d with fence %d, want attempt %d with fence %d", x.Attempt().Number, x.Fence(), before.Attempts+1, before.Fence+3)
			}
			must(t, x.Abandon(t.Context()))
			must(t, c.Release())
			wantView(t, l, want)
			settle(t, l, "end", ledger.Succeeded)
		})
	}
}

// settle marks theKey, with the record that Get returns as the expected one.
func settle(t testing.TB, l *Ledger, runID string, s ledger.State) {
	t.Helper()
	rec, err := l.Get(t.Context(), theKey)
	must(t, err)
	c, err := l.Claim(t.Context(), theKey)
	must(t, err)
	defer c.Release()
	_, err = c.Mark(t.Context(), ledger.Mark{Expect: rec, State: s, Reason: ledger.ReasonMarked, RunID: runID})
	must(t, err)
}

// TestMarkOfNeverStarted marks a key whose attempt was never started, without another Begin.
func TestMarkOfNeverStarted(t *testing.T) {
	lists(t)
	l := opened(t, fresh(t))
	runs(t, l, theKey, "f", nil, failure)
	b := newBatch(t, l.dir.Path())
	b.begin(theKey, "n")
	b.die()
	settle(t, l, "m", ledger.Succeeded)
	wantView(t, l, view{
		Phase: ledger.PhaseSucceeded, Listed: []ledger.Phase{"", ledger.PhaseSucceeded}, Attempts: 1,
		Runs: []string{"f failed exit", "m succeeded marked"},
	})
}

// TestMaybeStarted checks that an attempt whose list does not say that it was never started
// is interrupted.
func TestMaybeStarted(t *testing.T) {
	path := lists(t)
	listOf := func(l *Ledger) string { return path(l.unstarted.Load().Add("other").List) }
	for name, change := range map[string]func(t *testing.T, b batch, x ledger.Execution){
		"started":           func(_ *testing.T, _ batch, x ledger.Execution) { x.(ledger.Inheriting).Descriptors() },
		"the list is gone":  func(t *testing.T, b batch, _ ledger.Execution) { must(t, os.Remove(listOf(b.Ledger))) },
		"the list is empty": func(t *testing.T, b batch, _ ledger.Execution) { must(t, os.Truncate(listOf(b.Ledger), 0)) },
		"the list is cut":   func(t *testing.T, b batch, _ ledger.Execution) { must(t, os.Truncate(listOf(b.Ledger), 15)) },
		"the list is on a disk": func(t *testing.T, b batch, _ ledger.Execution) {
			at := listOf(b.Ledger)
			content, err := os.ReadFile(at)
			must(t, err)
			must(t, os.Remove(at))
			disk := filepath.Join(t.TempDir(), "list")
			must(t, os.WriteFile(disk, content, 0o600))
			must(t, os.Symlink(disk, at))
			t.Cleanup(func() { os.Remove(at) })
		},
		"no batch runs": func(t *testing.T, b batch, x ledger.Execution) {
			must(t, x.Abandon(t.Context()))
			must(t, x.(*execution).claim.Release())
			b.sustained.Store(0)
			b.unstarted.Swap(nil).Close()
			b.begin(theKey, "plain")
			b.Sustain()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := opened(t, fresh(t))
			b := newBatch(t, l.dir.Path())
			x := b.begin(theKey, "n")
			change(t, b, x)
			b.die()
			if v := look1(t, l); v.Phase != ledger.PhaseInterrupted || v.Attempts != 1 {
				t.Errorf("got %+v, want it interrupted", v)
			}
		})
	}
}

// TestReleasedUnstarted checks that a batch that gives up a claim between Begin and the start
// leaves nothing behind, although its process lives on.
func TestReleasedUnstarted(t *testing.T) {
	path := lists(t)
	l := opened(t, fresh(t))
	b := newBatch(t, l.dir.Path())
	x := b.begin(theKey, "n")
	list := path(x.(*execution).unstart.List)
	must(t, x.(*execution).claim.Release())
	wantView(t, l, view{Phase: ledger.PhaseNone})
	b.unstarted.Load().Close()
	wantView(t, l, view{Phase: ledger.PhaseNone})
	if _, err := os.Stat(list); err != nil {
		t.Errorf("the list of an attempt that is recorded is gone: %v", err)
	}
	b.unstarted.Store(nil)
	runs(t, l, theKey, "r", nil, success)
	wantView(t, l, view{Phase: ledger.PhaseSucceeded, Listed: []ledger.Phase{"", ledger.PhaseSucceeded}, Attempts: 1, Runs: []string{"r succeeded exit"}})
	b.unstarted.Store(filelock.NewUnstarted())
}

// TestListsAreRemoved checks that neither a batch that ends nor one that died leaves a list,
// once its attempts are settled.
func TestListsAreRemoved(t *testing.T) {
	path := lists(t)
	l := opened(t, fresh(t))
	end := l.Sustain()
	c, err := l.Claim(t.Context(), theKey)
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: "a", MaxOutput: -1})
	must(t, err)
	ended := path(x.(*execution).unstart.List)
	x.(ledger.Inheriting).Descriptors()
	if again := l.unstarted.Load().Add("b"); path(again.List) != ended {
		t.Errorf("a second list was made")
	} else if err := again.Remove(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(ended)
	must(t, err)
	if info.Size() != 16 {
		t.Errorf("the list has %d bytes, want its place used again", info.Size())
	}
	_, err = x.Finish(t.Context(), success)
	must(t, err)
	must(t, c.Release())
	end()
	if _, err := os.Stat(ended); err == nil {
		t.Error("the list of a batch that has ended exists")
	}

	died := killedBatch(t, l.dir.Path(), "begin")
	if _, err := os.Stat(path(died)); err != nil {
		t.Fatal(err)
	}
	runs(t, l, ofTheChild, "r", nil, success)
	if _, err := os.Stat(path(died)); err == nil {
		t.Error("the list of a batch that died exists, although its attempt was abandoned")
	}
}

// TestListOfAForgottenBatch checks that the items of a batch that died leave its list when the
// batch is forgotten.
func TestListOfAForgottenBatch(t *testing.T) {
	lists(t)
	place := fresh(t)
	b := newBatch(t, place)
	c, err := b.Claim(t.Context(), child(theKey, "a"))
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: "a", MaxOutput: -1, Origin: ledger.Origin{Parent: theKey}})
	must(t, err)
	b.die()
	list := x.(*execution).unstart.List
	if !filelock.NeverStarted(list, "a") {
		t.Fatal("the list has no such attempt")
	}
	must(t, opened(t, place).Forget(t.Context(), theKey))
	if got := asked(t, place, "select count(*) from attempts"); got != 0 || filelock.NeverStarted(list, "a") {
		t.Errorf("%d attempts are left, in the list: %v", got, filelock.NeverStarted(list, "a"))
	}
}
