package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger"
	"idem/ledger/localdir"
)

// cutMove is a move that was cut off: the earlier place has all files but locks, and a mark.
type cutMove struct {
	from, to string
	mark     moveMark
}

// cut makes the state of a move that was cut off, when the new place has PART and no locks.
func cut(t *testing.T, left bool) cutMove {
	t.Helper()
	from, to := made(t), fresh(t)
	kept := cloned(t, from)
	_, err := Move(context.Background(), from, to, Options{})
	must(t, err)
	m := cutMove{from: from, to: to}
	mark, ok, err := markIn(localdir.New(from), movedMark)
	if must(t, err); !ok || mark.id == "" || mark.path != to || !mark.left || mark.commits == 0 {
		t.Fatalf("got %+v, want the whole mark", mark)
	}
	mark.left = left
	m.mark = mark
	must(t, os.RemoveAll(from))
	must(t, os.Rename(kept, from))
	must(t, leaveMark(localdir.New(from), mark))
	must(t, os.Remove(filepath.Join(from, "locks")))
	for _, name := range []string{"secret.new", "MOVED.new"} {
		must(t, os.WriteFile(filepath.Join(from, name), nil, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(to, partMark), []byte(movingText(from, mark.id)), 0o600))
	must(t, os.Remove(filepath.Join(to, "locks")))
	return m
}

func has(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// A move that was cut off is completed, or refused without removing anything.
func TestMoveCut(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, m cutMove) { must(t, os.RemoveAll(m.to)) }
	another := func(t *testing.T, m cutMove) {
		gone(t, m)
		l := opened(t, m.to)
		for range 9 {
			runs(t, l, ledger.ID{Key: "of another ledger"}, "x", nil, failure)
		}
		must(t, l.Close())
	}
	arrived := func(t *testing.T, m cutMove) {
		must(t, os.WriteFile(filepath.Join(m.to, "locks"), witnessOf(m.mark.commits), 0o600))
		runs(t, opened(t, m.to), ledger.ID{Key: "after the move"}, "a1", nil, success)
	}
	for name, c := range map[string]struct {
		left    bool
		change  func(*testing.T, cutMove)
		refused bool
		stays   bool // the earlier place takes calls again
	}{
		"before it has left":                       {},
		"before it has left, the copy is gone":     {change: gone},
		"before it has left, another ledger":       {change: another, refused: true, stays: true},
		"after it has left":                        {left: true},
		"after it has left, the copy is gone":      {left: true, change: gone, refused: true},
		"after it has left, another ledger":        {left: true, change: another, refused: true},
		"after it has arrived":                     {left: true, change: arrived},
		"after the earlier place was cleared":      {left: true, change: func(t *testing.T, m cutMove) { arrived(t, m); clearOld(t, m) }},
		"after that, the new place is not mounted": {left: true, change: func(t *testing.T, m cutMove) { clearOld(t, m); gone(t, m) }, refused: true},
		"locks are lost after a stale mark": {refused: true, change: func(t *testing.T, m cutMove) {
			must(t, os.WriteFile(filepath.Join(m.from, "locks"), witnessOf(m.mark.commits), 0o600))
			l := opened(t, m.from)
			runs(t, l, ledger.ID{Key: "after the mark"}, "a1", nil, success)
			must(t, l.Close())
			must(t, os.Remove(filepath.Join(m.from, "locks")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := cut(t, c.left)
			if c.change != nil {
				c.change(t, m)
			}
			had := has(t, filepath.Join(m.from, "ledger.db"))
			got, err := Move(context.Background(), m.from, m.to, Options{})
			if (err != nil) != c.refused {
				t.Fatalf("got %v, want refused %v", err, c.refused)
			}
			if c.refused {
				if has(t, filepath.Join(m.from, "ledger.db")) != had {
					t.Error("ledger.db was removed")
				}
				_, err := Open(m.from)
				if (err == nil) != c.stays {
					t.Errorf("got %v at the earlier place", err)
				}
				return
			}
			if got.Keys < 2 {
				t.Errorf("got %+v, want at least 2 keys", got)
			}
			if names, err := namesIn(m.from); err != nil || len(names) != 1 || names[0] != movedMark {
				t.Errorf("got %q, %v, want the mark alone", names, err)
			}
			if has(t, filepath.Join(m.to, partMark)) {
				t.Error("the new place has PART")
			}
			if rec := getIn(t, opened(t, m.to), theKey); rec.Phase() != ledger.PhaseSucceeded {
				t.Errorf("got %v at the new place", rec.Phase())
			}
		})
	}
}

func clearOld(t *testing.T, m cutMove) {
	t.Helper()
	must(t, (&Ledger{dir: localdir.New(m.from)}).clear())
}

// A mark that another process has removed since is not removed again with what is there now.
func TestForgetMovedTwice(t *testing.T) {
	t.Parallel()
	from := made(t)
	_, err := Move(context.Background(), from, fresh(t), Options{})
	must(t, err)
	late := &Ledger{dir: localdir.New(from)}
	_, err = ForgetMoved(from, Options{})
	must(t, err)
	runs(t, opened(t, from), theKey, "n1", nil, success)
	must(t, late.forgetMoved())
	if rec := getIn(t, opened(t, from), theKey); rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %v, want the new ledger as it was", rec.Phase())
	}
}
