package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger"
)

// TestLocksThatWereRemovedAreNotTaken checks that a handle does not lock a removed file. A
// lock on a file that other processes cannot find excludes no process.
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
