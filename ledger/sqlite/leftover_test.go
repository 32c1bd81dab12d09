package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/localdir"
)

// A directory as a backup: what a kill has left in it does not matter, but a mark of a move does.
func TestRestoreFromLeftovers(t *testing.T) {
	t.Parallel()
	from := made(t)
	for _, name := range []string{"MOVED.new", "secret.new", "locks.new"} {
		must(t, os.WriteFile(filepath.Join(from, name), []byte("left by a kill"), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(from, "locks.d.new"), 0o700))
	must(t, os.WriteFile(filepath.Join(from, "locks.d.new/writers.new"), nil, 0o600))
	place := fresh(t)
	if r := restored(t, place, from, RestoreOptions{}); r.Keys != 2 {
		t.Errorf("got %+v, want 2 keys", r)
	}
	names, err := namesIn(place)
	must(t, err)
	for _, name := range names {
		if filepath.Ext(name) == ".new" {
			t.Errorf("got %s in the restored ledger", name)
		}
	}
	must(t, os.WriteFile(filepath.Join(from, movedMark), []byte("moved"), 0o600))
	if _, err := Restore(context.Background(), fresh(t), from, RestoreOptions{}); !errors.Is(err, errNoBackup) {
		t.Errorf("got %v from a ledger with a mark, want it refused", err)
	}
}

// A copy for a stream removes the parts that kills have left, but not that of a process that has yet to
// lock it.
func TestLeftoverStreams(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	l := opened(t, made(t))
	old := time.Now().Add(-2 * unlockedAge)
	for name, c := range map[string]struct {
		text  string
		old   bool
		stays bool
	}{
		"about to be locked":              {stays: true},
		"left before its lock":            {old: true},
		"left with its files":             {text: "copying from: /x\n"},
		"left with its files, a day ago":  {text: "copying from: /x\n", old: true},
		"the place of a move, not a copy": {text: movingText("/x", "id"), old: true, stays: true},
	} {
		part := filepath.Join(dir, streamPrefix+name+partSuffix)
		mark := filepath.Join(part, partMark)
		must(t, os.Mkdir(part, 0o700))
		must(t, os.WriteFile(mark, []byte(c.text), 0o600))
		if c.old {
			must(t, os.Chtimes(mark, old, old))
		}
		l.temporary()
		if has(t, part) != c.stays {
			t.Errorf("%s: got that it is there: %v", name, !c.stays)
		}
		must(t, os.RemoveAll(part))
	}
}

// A move is completed only while no other process moves the ledger at the new place.
func TestMoveCutWhileTheNewPlaceMoves(t *testing.T) {
	t.Parallel()
	m := cut(t, true)
	unlock, err := lockPlace(localdir.New(m.to))
	must(t, err)
	if _, err := Move(context.Background(), m.from, m.to, Options{}); !errors.Is(err, ledger.ErrChanged) {
		t.Errorf("got %v, want that another process moves it", err)
	}
	if !has(t, filepath.Join(m.from, "ledger.db")) {
		t.Error("ledger.db was removed")
	}
	unlock()
	_, err = Move(context.Background(), m.from, m.to, Options{})
	must(t, err)
}
