package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/localdir"
)

// RestoreOptions are the options of Restore.
type RestoreOptions struct {
	Trust   bool      // see Options
	Replace bool      // a ledger that is at the place is moved aside
	Stream  io.Reader // a tar, if the backup is not a file or a directory
	// Confirm is asked before a ledger is replaced that has settled keys which the backup
	// has not, or that cannot be read whole. The restore ends with its error.
	Confirm func(ledger.Restored) error
}

// Restore puts a backup at a place for a ledger. The backup is a directory or a tar file.
//
// The copy is made and checked next to the place. A ledger at the place is replaced while this
// process has the writers' turn and no other process has a lock. The two directories exchange
// their names in one step. A call that has opened the earlier ledger and waits for its turn
// finds that its files are no longer at the place, and starts nothing. So at each moment there
// is one ledger at the place, and no call begins in the other one.
//
// The restored ledger has the greater one of both generations and fences of each key.
func Restore(ctx context.Context, place, backup string, o RestoreOptions) (ledger.Restored, error) {
	at, _, err := localdir.Find(place, o.Trust)
	l := &Ledger{dir: at, trust: o.Trust}
	if err != nil {
		return ledger.Restored{}, l.explainAt(place, err)
	}
	names, err := namesIn(at.Path())
	occupied := len(names) > 0
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && occupied && !o.Replace:
		err = &ledger.TargetError{Path: at.Path(), Text: "has a ledger or other files already"}
	}
	if err == nil {
		err = at.MakeParent()
	}
	if err != nil {
		return ledger.Restored{}, l.explainAt(at.Path(), err)
	}
	r := &restorer{place: at.Path(), backup: backup, options: o}
	err = l.withPart(at.Path(), func(p *part) error { return r.restore(ctx, p, occupied) })
	if errors.As(err, new(*ledger.BackupError)) || errors.As(err, new(*ledger.InUseError)) {
		return r.result, err
	}
	return r.result, l.explainAt(at.Path(), err)
}

type restorer struct {
	place, backup string
	options       RestoreOptions
	copier        *copier
	result        ledger.Restored
}

func (r *restorer) restore(ctx context.Context, p *part, occupied bool) error {
	db, err := r.receive(ctx, p)
	if db != nil {
		defer db.Close()
	}
	if err != nil {
		return err
	}
	r.result.Copied = r.copier.copied
	failpoint.Here("restore.received")
	if !occupied {
		if err := r.finish(ctx, db, p); err != nil {
			return err
		}
		return p.publish(r.place)
	}
	return r.replace(ctx, db, p)
}

// finish makes the part a whole ledger.
func (r *restorer) finish(ctx context.Context, db *sql.DB, p *part) error {
	if err := r.copier.close(ctx, db, p); err != nil {
		return err
	}
	return errors.Join(r.copier.complete(p), p.unmark())
}

// receive takes the files of the backup and checks them. The records are open then.
func (r *restorer) receive(ctx context.Context, p *part) (*sql.DB, error) {
	v := &receiver{ctx: ctx, part: p, seen: map[string]bool{}}
	if err := r.read(v); err != nil {
		return nil, r.explain(err)
	}
	l, db, err := openPart(p)
	if err != nil {
		return db, r.explain(l.classify(err))
	}
	version, err := l.version(db)
	if err == nil && version < len(l.scripts) {
		err = l.migrate(db, version)
	}
	if err == nil {
		err = quickCheck(ctx, db)
	}
	if err != nil {
		return db, r.explain(l.classify(err))
	}
	c := &copier{
		ledger: l, outputs: partOutputs{p},
		dead: func(ledger.ID) (bool, error) { return false, nil }, // the lists of another ledger say nothing
		lost: func(commits int64) error { return v.lost(commits) },
	}
	r.copier = c
	return db, r.explain(c.settleRows(ctx, db, p))
}

func (r *restorer) read(v *receiver) error {
	if r.options.Stream != nil {
		return v.fromTar(r.options.Stream)
	}
	info, err := os.Stat(r.backup)
	if errors.Is(err, fs.ErrNotExist) {
		return &ledger.TargetError{Path: r.backup, Text: "does not exist"}
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return v.fromDir(r.backup)
	}
	f, err := os.Open(r.backup)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.fromTar(f)
}

// lost returns an error if the records of a backup have fewer commits than its witness says.
func (v *receiver) lost(commits int64) error {
	n, ok := witnessIn(v.witness)
	if !ok {
		return fmt.Errorf("%w: its change count is unreadable", ledger.ErrCorrupt)
	}
	if n > commits {
		return fmt.Errorf("%w: its last %d changes are missing", ledger.ErrCorrupt, n-commits)
	}
	return nil
}

// explain returns the error of the backup, unless err is one of the place.
func (r *restorer) explain(err error) error {
	if err == nil || errors.As(err, new(*ledger.TargetError)) || errors.Is(err, ledger.ErrFull) || errors.Is(err, unix.ENOSPC) || errors.Is(err, ledger.ErrReadOnly) {
		return err
	}
	return &ledger.BackupError{Path: r.backup, Err: err}
}

// replace puts the part in the place of the ledger that is there.
func (r *restorer) replace(ctx context.Context, db *sql.DB, p *part) error {
	old, err := openOld(ctx, r.place, r.options.Trust)
	if err != nil {
		return err
	}
	// A ledger that is in use is refused before a person is asked. It is looked at again after that.
	end, err := old.quiet(ctx)
	if err != nil {
		return err
	}
	end()
	m := &merger{old: old, to: db}
	before, err := m.compare(ctx)
	if err != nil {
		return err
	}
	r.result.Again, r.result.Unread = m.again, old.unread
	if len(m.again) > 0 || old.unread != nil {
		if err := r.options.Confirm(r.result); err != nil {
			return err
		}
	}
	if end, err = old.quiet(ctx); err != nil {
		return err
	}
	defer end()
	failpoint.Here("restore.turn")
	if now, err := m.commits(ctx); err != nil || now != before {
		return errors.Join(err, fmt.Errorf("%w: it was used since it was compared with the backup", ledger.ErrChanged))
	}
	if err := m.raise(ctx); err != nil {
		return err
	}
	if err := r.finish(ctx, db, p); err != nil {
		return err
	}
	if err := old.check(); err != nil {
		return err
	}
	failpoint.Here("restore.complete")
	if err := p.exchange(r.place); err != nil {
		return err
	}
	failpoint.Here("restore.exchanged")
	r.result.Aside, err = setAside(p.dir.Path(), r.place)
	return err
}

// exchange gives the part the name of another directory, which gets that of the part.
func (p *part) exchange(with string) error {
	if err := p.dir.Check("."); err != nil {
		return err
	}
	if err := localdir.Exchange(p.dir.Path(), with); err != nil {
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			return &ledger.TargetError{
				Path: with, Text: "cannot be replaced in one step: it is a mount point, or the file system does not support it",
				Hint: "restore to another place: --ledger DIR",
			}
		}
		return err
	}
	p.published = true
	return localdir.SyncDir(filepath.Dir(with))
}

// setAside gives the earlier ledger of a place a name that says what it is.
func setAside(dir, place string) (string, error) {
	base := place + ".replaced-" + time.Now().UTC().Format("20060102T150405Z")
	name := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = base + "-" + strconv.Itoa(n)
	}
	if err := unix.Rename(dir, name); err != nil {
		return dir, nil // it stays there, which the call says
	}
	return name, localdir.SyncDir(filepath.Dir(place))
}
