package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// errMoving: another process moves the ledger of this place.
var errMoving = fmt.Errorf("%w: another idem is moving this ledger", ledger.ErrChanged)

// lockPlace locks the old place of a move, or the new one while a ledger arrives there. So one
// process at a time moves a ledger, completes its move, or removes its mark. The lock is on the
// directory, because its files are removed.
func lockPlace(dir *localdir.Dir) (unlock func(), err error) {
	f, err := os.Open(dir.Path())
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		var locked, now os.FileInfo
		if locked, err = f.Stat(); err == nil {
			now, err = os.Stat(dir.Path())
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(locked, now) {
			err = errMoving
		}
	} else if errors.Is(err, unix.EWOULDBLOCK) {
		err = errMoving
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// finishMove completes a move that was cut off after the ledger had left its place.
//
// Until MOVED says that the new place may take calls, none has run there. The move is then
// undone, and made again. After that, the files of the earlier place are removed only if the
// new place has the same ledger.
func finishMove(ctx context.Context, from, to string, o Options) (ledger.Copied, error) {
	old, _, err := localdir.Find(from, o.Trust)
	if err != nil {
		return ledger.Copied{}, err
	}
	l := &Ledger{dir: old, trust: o.Trust, locks: filelock.New(old)}
	undone, c, err := l.finish(ctx, to, o)
	if undone {
		return Move(ctx, from, to, o)
	}
	return c, l.explainAt(old.Path(), err)
}

func (l *Ledger) finish(ctx context.Context, path string, o Options) (undone bool, c ledger.Copied, err error) {
	unlock, err := lockPlace(l.dir)
	if err != nil {
		return false, c, err
	}
	defer unlock()
	m, marked, err := markIn(l.dir, movedMark)
	if err == nil && !marked { // another process has removed it
		err = errMoving
	}
	if err != nil {
		return false, c, err
	}
	info, err := l.dir.Lookup("ledger.db")
	if err != nil {
		return false, c, err
	}
	if info != nil && !m.left && m.id != "" {
		err := l.stay(m)
		return err == nil, c, err
	}
	to, exists, err := localdir.Find(path, o.Trust)
	switch {
	case err != nil:
		return false, c, err
	case to.Path() != m.path:
		return false, c, away(l.dir)
	case !exists:
		return false, c, l.lostAt(m, "there is none")
	}
	unlockTo, err := lockPlace(to)
	if err != nil {
		return false, c, err
	}
	defer unlockTo()
	c, err = l.finishAt(ctx, m, to, info != nil, o)
	return false, c, err
}

// stay undoes a move that has not reached its new place: the earlier place takes calls again.
func (l *Ledger) stay(m moveMark) error {
	locks, err := l.locks.Exists()
	if err != nil {
		return err
	}
	if locks { // it takes calls
		return l.unmarkMoved()
	}
	commits, err := commitsIn(l.dir)
	if err != nil {
		return err
	}
	if commits != m.commits { // calls went on after the mark, so locks was lost later
		return l.locks.Gone()
	}
	if err := os.RemoveAll(l.dir.File(filelock.RemovedDir)); err != nil {
		return err
	}
	if err := completeLocks(l.dir, m.commits); err != nil {
		return err
	}
	return l.unmarkMoved()
}

// unmarkMoved removes MOVED, if it is there.
func (l *Ledger) unmarkMoved() error {
	if err := l.dir.Remove(movedMark); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.dir.Sync(".")
}

// finishAt completes a move to a directory. whole says that the earlier place still has the
// records.
func (l *Ledger) finishAt(ctx context.Context, m moveMark, to *localdir.Dir, whole bool, o Options) (c ledger.Copied, err error) {
	mark, unfinished, err := markIn(to, partMark)
	if err != nil {
		return c, err
	}
	same := unfinished && m.id != "" && mark.id == m.id && mark.path == l.dir.Path()
	if whole && !same {
		return c, l.lostAt(m, "what is there is not this ledger")
	}
	locks, err := filelock.New(to).Exists()
	if err != nil {
		return c, err
	}
	if same && !locks {
		if commits, err := commitsIn(to); err != nil || commits != m.commits {
			return c, errors.Join(err, l.lostAt(m, "what is there is not whole"))
		}
		if err := completeLocks(to, m.commits); err != nil {
			return c, err
		}
	}
	n, err := o.Open(m.path)
	if err != nil {
		return c, err
	}
	defer n.Close()
	db, err := n.database(ctx)
	if err != nil {
		return c, err
	}
	if db == nil {
		return c, l.lostAt(m, "there is none")
	}
	commits, err := commitsOf(ctx, db)
	if err != nil {
		return c, err
	}
	if commits < m.commits {
		return c, l.lostAt(m, fmt.Sprintf("the last %d changes are missing there", m.commits-commits))
	}
	if c, err = n.describe(ctx, db); err != nil {
		return c, err
	}
	if err := l.clear(); err != nil || !same {
		return c, err
	}
	return c, errors.Join(to.Remove(partMark), to.Sync("."))
}

// lostAt returns the fault of a ledger that is not at its new place. Nothing was removed.
func (l *Ledger) lostAt(m moveMark, text string) error {
	return &ledger.Fault{
		Kind: ledger.FaultMoveLost, Is: ledger.ErrForeign, Path: l.dir.File(movedMark), Moved: m.path,
		Text: "this ledger was moved to " + m.path + ", but " + text + " now",
	}
}

// commitsIn returns the number of commits in a directory without locks.
func commitsIn(dir *localdir.Dir) (int64, error) {
	info, err := dir.Lookup("ledger.db")
	if err != nil || info == nil || info.Size() == 0 { // SQLite would remove the -wal of an empty one
		return 0, errors.Join(err, dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is gone or empty"))
	}
	l := &Ledger{dir: dir}
	db, err := l.connectRaw()
	if err != nil {
		return 0, l.classify(err)
	}
	n, err := commitsOf(context.Background(), db)
	if err != nil {
		return 0, l.classify(err) // leave it open, see Ledger.connect
	}
	return n, db.Close()
}

// describe counts the keys and the outputs of a ledger that was copied before.
func (l *Ledger) describe(ctx context.Context, db *database) (c ledger.Copied, err error) {
	if err := db.DB.QueryRowContext(ctx, "select count(*) from records where current <> 0").Scan(&c.Keys); err != nil {
		return c, err
	}
	records, outputs, n, err := l.size()
	c.Outputs, c.Bytes = n, records+outputs
	return c, err
}

// ForgetMoved removes the mark of a ledger that was moved away. The next call begins an empty
// ledger at the place. It returns where the ledger is.
func ForgetMoved(place string, o Options) (string, error) {
	_, err := o.Open(place)
	moved := (*ledger.Fault)(nil)
	switch {
	case err == nil: // it stays open, since closing it would change its files
		return "", ledger.ErrNotFound
	case !errors.As(err, &moved) || moved.Kind != ledger.FaultMoved:
		return "", err
	}
	dir, _, err := localdir.Find(place, o.Trust)
	if err != nil {
		return "", err
	}
	l := &Ledger{dir: dir, trust: o.Trust}
	return moved.Moved, l.explainAt(dir.Path(), l.forgetMoved())
}

func (l *Ledger) forgetMoved() error {
	unlock, err := lockPlace(l.dir)
	if err != nil {
		return err
	}
	defer unlock()
	m, marked, err := markIn(l.dir, movedMark)
	if err != nil || !marked { // another process has removed it, and there may be a new ledger
		return err
	}
	if info, err := l.dir.Lookup("ledger.db"); err != nil || info != nil {
		return errors.Join(err, &ledger.TargetError{
			Path: l.dir.Path(), Text: "has still the ledger: its move to " + m.path + " was cut off", Hint: "make the same move again to complete it",
		})
	}
	if err := l.clear(); err != nil {
		return err
	}
	if err := l.unmarkAt(m); err != nil {
		return err
	}
	if err := l.unmarkMoved(); err != nil {
		return err
	}
	_ = os.Remove(l.dir.Path()) // unless it has other files
	return nil
}

// unmarkAt removes PART at the new place of a move that was cut off after all else.
func (l *Ledger) unmarkAt(m moveMark) error {
	to, exists, err := localdir.Find(m.path, l.trust)
	if err != nil || !exists || m.id == "" {
		return nil // it is not there now, or belongs to another user
	}
	defer to.Close()
	mark, ok, err := markIn(to, partMark)
	if err != nil || !ok || mark.id != m.id {
		return nil
	}
	return errors.Join(to.Remove(partMark), to.Sync("."))
}
