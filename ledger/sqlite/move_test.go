package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"idem/ledger"
)

func isMoved(err error) bool {
	var fault *ledger.Fault
	return errors.As(err, &fault) && fault.Kind == ledger.FaultMoved
}

// A moved ledger is whole at the new place, and the old one refuses every call.
func TestMove(t *testing.T) {
	t.Parallel()
	from, to := made(t), fresh(t)
	before := opened(t, from)
	if _, err := Move(context.Background(), from, to, Options{}); err != nil {
		t.Fatal(err)
	}
	l := opened(t, to)
	if got, err := outputOf(l, theKey, "r2"); err != nil || got != string(large) {
		t.Errorf("got %d bytes, %v, want the output", len(got), err)
	}
	runs(t, l, ledger.ID{Namespace: "default", Key: "new"}, "r9", nil, success)
	if names, err := namesIn(to); err != nil || slices.Contains(names, partMark) {
		t.Errorf("got %q, %v, want no part", names, err)
	}
	if names, err := namesIn(from); err != nil || !slices.Equal(names, []string{movedMark}) {
		t.Errorf("got %q, %v, want the mark alone", names, err)
	}
	if _, err := Open(from); !isMoved(err) {
		t.Errorf("got %v, want that it was moved", err)
	}
	// ... also a call that had opened it before
	if _, err := run(before, ledger.ID{Namespace: "default", Key: "late"}, "x1", nil, success); !isMoved(err) {
		t.Errorf("got %v, want that it was moved", err)
	}
	if _, err := Restore(context.Background(), from, to, restoreAll); !isMoved(err) {
		t.Errorf("got %v, want that it was moved", err)
	}
	if at, err := ForgetMoved(from, Options{}); err != nil || at != to {
		t.Errorf("got %s, %v, want %s", at, err, to)
	}
	if _, err := os.Stat(from); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the old directory gone", err)
	}
	if _, err := ForgetMoved(to, Options{}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got %v, want no mark", err)
	}
}

func TestMoveRefused(t *testing.T) {
	t.Parallel()
	from := made(t)
	l := opened(t, from)
	c, err := l.Claim(context.Background(), theKey)
	must(t, err)
	if _, err := Move(context.Background(), from, fresh(t), Options{}); !errors.As(err, new(*ledger.InUseError)) {
		t.Errorf("got %v, want that it is in use", err)
	}
	must(t, c.Release())
	for _, to := range []string{from, filepath.Join(from, "x"), filepath.Dir(from), made(t)} {
		if _, err := Move(context.Background(), from, to, Options{}); !errors.As(err, new(*ledger.TargetError)) {
			t.Errorf("%s: got %v, want it refused", to, err)
		}
	}
	if _, err := Move(context.Background(), fresh(t), fresh(t), Options{}); !errors.Is(err, ledger.ErrMissing) {
		t.Errorf("got %v, want that there is no ledger", err)
	}
	if rec := getIn(t, l, theKey); rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %v, want the ledger as it was", rec.Phase())
	}
}
