package ledgertest

import (
	"errors"
	"slices"
	"testing"

	"idem/ledger"
)

// TestFaultyWithoutFault checks that a Faulty without a fault passes the suite.
func TestFaultyWithoutFault(t *testing.T) {
	h := memHarness()
	h.Offers = (*Faulty)(nil)
	open := h.Open
	h.Open = func(place string) (ledger.Ledger, error) {
		l, err := open(place)
		return &Faulty{Ledger: l}, err
	}
	h.Crash = func(l ledger.Ledger) {
		inner := l.(*Faulty).Ledger.(*memHandle)
		inner.Mem.Crash(inner)
	}
	Run(t, h)
}

// TestFaulty makes each call of a run fail, with and without After, and checks the records
// of the wrapped ledger.
func TestFaulty(t *testing.T) {
	id := key("k")
	steps := []string{"Get", "Claim", "Record", "Begin", "Finish", "Release"}
	before := []ledger.Phase{"none", "none", "none", "none", "running", "succeeded"}
	after := []ledger.Phase{"none", "none", "none", "running", "succeeded", "succeeded"}
	for i, step := range steps {
		for _, late := range []bool{false, true} {
			l := NewMem().Open()
			f := &Faulty{Ledger: l, FailAt: i + 1, After: late}
			err := oneRun(t, f, id)
			if !errors.Is(err, ErrFaulty) {
				t.Fatalf("%s: got error %v", step, err)
			}
			if got := f.Calls(); !slices.Equal(got, steps[:i+1]) {
				t.Errorf("%s: calls %v", step, got)
			}
			r, err := l.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := before[i]
			if late {
				want = after[i]
			}
			if got := r.Phase(); got != want {
				t.Errorf("%s, after %t: got phase %s, want %s", step, late, got, want)
			}
		}
	}

	f := &Faulty{Ledger: NewMem().Open(), FailAt: 2, Err: ledger.ErrFull}
	if err := oneRun(t, f, id); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("got error %v, want the one given", err)
	}
}

// oneRun runs id, and stops at the first error.
func oneRun(t *testing.T, l ledger.Ledger, id ledger.ID) error {
	ctx := t.Context()
	if _, err := l.Get(ctx, id); err != nil {
		return err
	}
	c, err := l.Claim(ctx, id)
	if err != nil {
		return err
	}
	if _, err := c.Record(ctx); err != nil {
		return err
	}
	x, err := c.Begin(ctx, newStart())
	if err != nil {
		return err
	}
	if _, err := x.Finish(ctx, success); err != nil {
		return err
	}
	return c.Release()
}
