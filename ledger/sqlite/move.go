package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// Move moves the ledger in a directory to another one, which is absent or empty. The earlier
// directory keeps one file that refuses calls.
//
// A move makes these steps, while no call uses the ledger. After each of them, at most one of
// the two places takes calls, and the other one refuses them. So a move that was cut off runs
// nothing twice, and the same call completes it:
//
//  1. The copy is made and checked. It gets its name without locks and with PART, so the new
//     place refuses calls.
//  2. MOVED is created at the earlier place, and then the name of its locks is removed. From
//     then on it refuses calls, also those that opened it before: their locks are no longer at
//     the place.
//  3. MOVED says that the new place may take calls. Until then, the move can be undone.
//  4. The locks are created at the new place, which takes calls from then on.
//  5. The other files of the earlier place are removed, and then PART at the new one.
//
// MOVED and PART have the same random id. Until step 5, they show that the ledger at the new
// place is this one, so no other ledger is taken for it.
func Move(ctx context.Context, from, to string, o Options) (ledger.Copied, error) {
	l, err := o.Open(from)
	if moved := (*ledger.Fault)(nil); errors.As(err, &moved) && moved.Kind == ledger.FaultMoved {
		return finishMove(ctx, from, to, o)
	}
	if err != nil {
		return ledger.Copied{}, err
	}
	db, err := l.database(ctx)
	if err == nil && db == nil {
		err = ledger.ErrMissing
	}
	if err != nil {
		return ledger.Copied{}, l.explain(err)
	}
	c := l.copier()
	err = l.move(ctx, c, to)
	if errors.As(err, new(*ledger.InUseError)) {
		return c.copied, err
	}
	return c.copied, l.explainAt(l.dir.Path(), err)
}

func (l *Ledger) move(ctx context.Context, c *copier, path string) error {
	unlock, err := lockPlace(l.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.discardUnfinished(path); err != nil {
		return err
	}
	to, err := l.target(path)
	if err != nil {
		return err
	}
	end, err := l.requireUnused(ctx)
	if err != nil {
		return err
	}
	defer end()
	failpoint.Here("move.turn")
	id := rand.Text()
	var m moveMark
	err = l.withMarked(to, movingText(l.dir.Path(), id), func(p *part) error {
		if err := p.dir.CheckFS(); err != nil {
			return err
		}
		c.outputs = &dirOutputs{from: l.dir, to: p.dir}
		if err := c.copy(ctx, p); err != nil {
			return err
		}
		if err := p.explain(errors.Join(c.addFiles(p), p.publish(to))); err != nil {
			return err
		}
		m = moveMark{path: to, id: id, commits: c.commits}
		return l.leave(m)
	})
	if err != nil {
		// Without locks, this place refuses calls, and the same move again takes the copy.
		if here, fault := l.locks.Exists(); here && fault == nil {
			err = errors.Join(err, l.discardUnfinished(to))
		}
		return err
	}
	return l.handOver(m)
}

// leave makes the place of the ledger refuse calls for good. After an error, the place takes calls
// as before, if it can get its locks back. The caller has the turn.
func (l *Ledger) leave(m moveMark) error {
	if err := l.dir.Check(); err != nil {
		return err
	}
	err := leaveMark(l.dir, m)
	if err == nil {
		failpoint.Here("move.marked")
		err = errors.Join(l.locks.Remove(), l.dir.Sync("."))
	}
	if err == nil {
		failpoint.Here("move.left")
		left := m
		left.left = true
		err = leaveMark(l.dir, left)
	}
	if err != nil {
		return errors.Join(err, l.stay(m))
	}
	failpoint.Here("move.sealed")
	return nil
}

// handOver makes the copy at the new place the ledger.
func (l *Ledger) handOver(m moveMark) error {
	to := localdir.New(m.path)
	defer to.Close()
	unlock, err := lockPlace(to) // from its locks on, another process can move it on
	if err != nil {
		return err
	}
	defer unlock()
	if err := completeLocks(to, m.commits); err != nil {
		return err
	}
	failpoint.Here("move.arrived")
	if err := l.clear(); err != nil {
		return err
	}
	failpoint.Here("move.cleared")
	return errors.Join(to.Remove(partMark), to.Sync("."))
}

// clear removes the files of a ledger that was moved away, but not its mark.
func (l *Ledger) clear() error {
	var errs []error
	for _, name := range append([]string{partMark, filelock.RemovedDir, "secret.new", movedMark + ".new"}, partFiles...) {
		if err := os.RemoveAll(l.dir.File(name)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, l.dir.Sync("."))...)
}

// discardUnfinished removes the copy of a move of this ledger that failed or was cut off before the
// ledger had left its place.
func (l *Ledger) discardUnfinished(to string) error {
	if _, err := os.Lstat(filepath.Join(to, partMark)); err != nil {
		return nil // target looks at what else is there
	}
	dir, exists, err := localdir.Find(to, l.trust)
	if !exists || err != nil {
		return err
	}
	m, ok, err := markIn(dir, partMark)
	if err != nil || !ok || m.path != l.dir.Path() {
		return err
	}
	if locks, err := filelock.New(dir).Exists(); locks || err != nil {
		return err
	}
	p := &part{dir: dir}
	if err := p.claim(movingText(m.path, m.id)); err != nil {
		return err
	}
	p.discard()
	return nil
}
