package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
)

// twoHosts returns handles of two hosts on a new ledger.
func twoHosts(t *testing.T) (a, b *Ledger) {
	t.Helper()
	h := forms["hosts"].harness(t)
	place := h.New(t)
	for _, l := range []**Ledger{&a, &b} {
		opened, err := h.Open(place)
		must(t, err)
		*l = opened.(*Ledger)
		t.Cleanup(func() { _ = opened.Close() })
	}
	return a, b
}

func idOf(key string) ledger.ID { return ledger.ID{Namespace: "n", Key: key} }

var (
	succeeded = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
	failed    = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3}
)

// beginAs claims and begins a key as a child of parent, unless that is zero. It returns a function
// that finishes the attempt and gives the claim back.
func beginAs(ctx context.Context, l *Ledger, id, parent ledger.ID, change func(*ledger.Start)) (finish func(ledger.Outcome) error, err error) {
	c, err := l.Claim(ctx, id)
	if err != nil {
		return nil, err
	}
	s := ledger.Start{RunID: uuid.NewString(), Fingerprint: "f", Origin: ledger.Origin{Parent: parent}}
	if change != nil {
		change(&s)
	}
	x, err := c.Begin(ctx, s)
	if err != nil {
		return nil, errors.Join(err, c.Release())
	}
	return func(o ledger.Outcome) error {
		_, err := x.Finish(ctx, o)
		return errors.Join(err, c.Release())
	}, nil
}

// runAs is beginAs with the end.
func runAs(t *testing.T, l *Ledger, id, parent ledger.ID, o ledger.Outcome) {
	t.Helper()
	finish, err := beginAs(t.Context(), l, id, parent, nil)
	must(t, err)
	must(t, finish(o))
}

func renewOf(l *Ledger, id ledger.ID) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		finish, err := beginAs(ctx, l, id, ledger.ID{}, func(s *ledger.Start) { s.Renew = true })
		if err != nil {
			return err
		}
		return finish(succeeded)
	}
}

// One host begins a new series while another one begins an attempt below it. The attempt is never
// forgotten while it runs, and its outcome is kept.
func TestNewSeriesAgainstBeginBelow(t *testing.T) {
	for name, test := range map[string]struct {
		families []ledger.ID // each the parent of the next one; the last one begins
		renew    func(l *Ledger, top ledger.ID) func(ctx context.Context) error
	}{
		"Renew, child":       {[]ledger.ID{idOf("p"), idOf("p/c")}, renewOf},
		"Renew, grandchild":  {[]ledger.ID{idOf("p"), idOf("p/c"), idOf("p/c/d")}, renewOf},
		"Forget, child":      {[]ledger.ID{idOf("p"), idOf("p/c")}, forgetOf},
		"Forget, grandchild": {[]ledger.ID{idOf("p"), idOf("p/c"), idOf("p/c/d")}, forgetOf},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := twoHosts(t)
			all := test.families
			busy, both := 0, 0
			for round := range 40 {
				runAs(t, b, all[0], ledger.ID{}, failed)
				for i := 1; i < len(all) && round%3 > 0; i++ { // sometimes there are no rows below
					runAs(t, a, all[i], all[i-1], failed) // a new series does not look below a success
				}
				last, parent := all[len(all)-1], all[len(all)-2]
				var finish func(ledger.Outcome) error
				var begun, renewed error
				var wg sync.WaitGroup
				wg.Go(func() { finish, begun = beginAs(t.Context(), a, last, parent, nil) })
				wg.Go(func() { renewed = test.renew(b, all[0])(t.Context()) })
				wg.Wait()
				must(t, begun)
				switch {
				case renewed == nil:
					both++
				case errors.As(renewed, new(*ledger.BusyError)):
					busy++
				default:
					t.Fatal(renewed)
				}
				for _, l := range []*Ledger{a, b} {
					r, err := l.Get(t.Context(), last)
					must(t, err)
					if r.Phase() != ledger.PhaseRunning || r.Parent != parent {
						t.Fatalf("round %d, new series: %v: got phase %s, parent %q", round, renewed, r.Phase(), r.Parent.Key)
					}
				}
				// If the record between the two was forgotten, it has lost its parent.
				r, err := b.Get(t.Context(), all[1])
				must(t, err)
				if below := r.Parent == all[0]; below != errors.As(test.renew(b, all[0])(t.Context()), new(*ledger.BusyError)) {
					t.Fatalf("round %d: a new series while a record runs that is below: %v", round, below)
				}
				must(t, finish(succeeded))
				r, err = b.Get(t.Context(), last)
				must(t, err)
				if r.Phase() != ledger.PhaseSucceeded {
					t.Fatalf("round %d: got phase %s after a success", round, r.Phase())
				}
				if err := test.renew(b, all[0])(t.Context()); !errors.Is(err, ledger.ErrNotFound) {
					must(t, err)
				}
			}
			t.Logf("%d times busy, %d times both", busy, both)
		})
	}
}

func forgetOf(l *Ledger, id ledger.ID) func(ctx context.Context) error {
	return func(ctx context.Context) error { return l.Forget(ctx, id) }
}

// Two hosts run the items of one batch in opposite order, in groups. They lock the same rows,
// and each item runs once.
func TestTwoBatchesInOppositeOrder(t *testing.T) {
	a, b := twoHosts(t)
	parent := idOf("batch/with/slashes")
	runAs(t, a, idOf("batch"), ledger.ID{}, succeeded) // so each Begin locks several rows
	runAs(t, a, parent, ledger.ID{}, succeeded)
	const items, group = 96, 16
	var mu sync.Mutex
	runs := map[ledger.ID]int{}
	run := func(l *Ledger, id ledger.ID) func(ctx context.Context) {
		return func(ctx context.Context) {
			c, err := l.Claim(ctx, id)
			if errors.As(err, new(*ledger.BusyError)) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			r, err := c.Record(ctx)
			if err == nil && r.Current.State == ledger.None {
				var x ledger.Execution
				x, err = c.Begin(ctx, ledger.Start{RunID: uuid.NewString(), Origin: ledger.Origin{Parent: parent}})
				if err == nil {
					mu.Lock()
					runs[id]++
					mu.Unlock()
					_, err = x.Finish(ctx, succeeded)
				}
			}
			if err = errors.Join(err, c.Release()); err != nil {
				t.Error(err)
			}
		}
	}
	all := func(l *Ledger, forwards bool) {
		for from := 0; from < items; from += group {
			var changes []func(context.Context)
			for i := from; i < from+group; i++ {
				n := i
				if !forwards {
					n = items - 1 - i
				}
				id := parent
				id.Key += fmt.Sprint("/", n)
				changes = append(changes, run(l, id))
			}
			l.Together(t.Context(), changes...)
		}
	}
	for range 3 {
		var wg sync.WaitGroup
		wg.Go(func() { all(a, true) })
		wg.Go(func() { all(b, false) })
		wg.Wait()
	}
	if len(runs) != items {
		t.Errorf("%d items have run, want %d", len(runs), items)
	}
	for id, n := range runs {
		if n != 1 {
			t.Errorf("%s has run %d times", id.Key, n)
		}
	}
}

// Several children of a stale parent begin at the same time on two hosts. The parent gets one new
// series, and all of them belong to it.
func TestStaleParentIsRevivedOnce(t *testing.T) {
	a, b := twoHosts(t)
	top, parent := idOf("p"), idOf("p/c")
	for range 10 {
		runAs(t, a, top, ledger.ID{}, succeeded)
		runAs(t, a, parent, top, succeeded)
		runAs(t, a, idOf("p/c/old"), parent, succeeded)
		must(t, renewOf(b, top)(t.Context()))
		var wg sync.WaitGroup
		for i, l := range []*Ledger{a, b, a, b} {
			wg.Go(func() {
				finish, err := beginAs(t.Context(), l, idOf(fmt.Sprint("p/c/", i)), parent, nil)
				if err == nil {
					err = finish(succeeded)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range 4 {
			r, err := b.Get(t.Context(), idOf(fmt.Sprint("p/c/", i)))
			must(t, err)
			if r.Phase() != ledger.PhaseSucceeded || r.Parent != parent {
				t.Fatalf("child %d: got phase %s", i, r.Phase())
			}
		}
		r, err := b.Get(t.Context(), idOf("p/c/old"))
		must(t, err)
		if r.Phase() != ledger.PhaseNone {
			t.Fatalf("a record of the earlier series came back: %s", r.Phase())
		}
		must(t, a.Forget(t.Context(), parent))
	}
}
