package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/localdir"
)

// Backup implements ledger.Copying.
//
// Other calls go on. The order of the steps makes the copy whole:
//
//  1. The witness is read. A ledger with fewer commits has lost some, so it is not copied.
//  2. VACUUM INTO copies all records as they are at one moment. The moment is after the begin of the
//     backup, so each change that was acknowledged before is in the copy.
//  3. The outputs that these records name are copied. The file of an output is durable
//     before the commit that names it, and does not change from then on. It is removed after
//     a commit that no longer names it. So at the moment of the records, each file that they
//     name was there and complete. One that is missing now was removed or forgotten after
//     that moment, and the copy says that it was removed. A file that is new since is not
//     named by a copied record, so it is not missed.
//
// In the other order, a record could name an output that was not there when the outputs were
// copied.
func (l *Ledger) Backup(ctx context.Context, o ledger.BackupOptions) (ledger.Copied, error) {
	c := l.copier()
	c.noOutput = o.NoOutput
	var err error
	switch {
	case o.Dir != "":
		err = l.backupDir(ctx, c, o.Dir)
	case o.File != "":
		err = l.backupFile(ctx, c, o.File)
	default:
		err = l.backupTo(ctx, c, o.Writer)
	}
	if errors.As(err, new(*ledger.Error)) || errors.As(err, new(*ledger.TargetError)) {
		return c.copied, err
	}
	return c.copied, l.explain(err)
}

// copier returns a copier of this ledger.
func (l *Ledger) copier() *copier {
	return &copier{ledger: l, dead: func(id ledger.ID) (bool, error) {
		alive, err := l.alive(id)
		return !alive, err
	}}
}

func (l *Ledger) backupDir(ctx context.Context, c *copier, path string) error {
	to, err := l.target(path)
	if err != nil {
		return err
	}
	return l.withPart(to, func(p *part) error {
		c.outputs = &dirOutputs{from: l.dir, to: p.dir}
		if err := c.copy(ctx, p); err != nil {
			return err
		}
		return p.explain(errors.Join(c.complete(p), p.unmark(), p.publish(to)))
	})
}

// publish gives a complete copy its name.
func (p *part) publish(to string) error {
	failpoint.Here("part.complete")
	if err := p.rename(to); err != nil {
		return err
	}
	failpoint.Here("part.renamed")
	return nil
}

func (l *Ledger) backupFile(ctx context.Context, c *copier, file string) error {
	if err := checkParent(file); err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return &ledger.TargetError{Path: file, Text: "exists already", Hint: "name another file"}
	}
	return l.withPart(file, func(p *part) error {
		archive, err := p.dir.Create(archiveName, os.O_WRONLY|os.O_EXCL)
		if err != nil {
			return p.explain(err)
		}
		defer archive.Close()
		c.archived = true
		if err := l.archive(ctx, c, p, archive); err != nil {
			return err
		}
		err = archive.Sync()
		if err == nil {
			failpoint.Here("archive.complete")
			err = os.Link(p.dir.File(archiveName), file) // unlike a rename, it replaces no file
		}
		if err == nil {
			failpoint.Here("archive.named")
			err = localdir.SyncDir(filepath.Dir(file))
		}
		return p.explain(err)
	})
}

func (l *Ledger) backupTo(ctx context.Context, c *copier, w io.Writer) error {
	c.streamed = true
	return l.withPart(l.temporary(), func(p *part) error { return l.archive(ctx, c, p, w) })
}

// archive writes a copy as a tar. The records are copied to the part first.
func (l *Ledger) archive(ctx context.Context, c *copier, p *part, w io.Writer) error {
	a := newArchive(l.dir, stepwise{ctx, w})
	c.outputs = a
	if err := c.copy(ctx, p); err != nil {
		return err
	}
	secret, err := l.secretIfAny()
	if err != nil {
		return err
	}
	return p.explain(a.close(p.dir, secret, c.commits))
}

// withPart calls f with the part of the copy that is to be at path, and removes what f has not
// published.
func (l *Ledger) withPart(path string, f func(*part) error) error {
	return l.withMarked(path, "copying from: "+l.dir.Path()+"\n", f)
}

func (l *Ledger) withMarked(path, text string, f func(*part) error) error {
	p, err := newPart(path, l.trust, text)
	if err != nil {
		return l.explainAt(path, err)
	}
	defer p.discard()
	return f(p)
}

// target checks the directory that a copy goes to, and returns its path without links.
func (l *Ledger) target(path string) (string, error) {
	names, err := namesIn(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = checkParent(path)
	case errors.Is(err, unix.ENOTDIR):
		err = &ledger.TargetError{Path: path, Text: "is not a directory"}
	case err == nil && len(names) > 0:
		err = &ledger.TargetError{Path: path, Text: "is not empty", Hint: "name a directory that does not exist yet"}
	}
	if err != nil {
		return "", err
	}
	at, _, err := localdir.Find(path, l.trust)
	if err != nil {
		return "", l.explainAt(path, err)
	}
	if inside(at.Path(), l.dir.Path()) || inside(l.dir.Path(), at.Path()) {
		return "", &ledger.TargetError{Path: path, Text: "and the ledger are in each other"}
	}
	return at.Path(), nil
}

// inside reports whether a path is a directory or below it.
func inside(path, dir string) bool {
	return strings.HasPrefix(path+"/", strings.TrimSuffix(dir, "/")+"/")
}

// checkParent refuses a path whose directory is missing. It may be that of a disk which is not
// mounted, so it is not created.
func checkParent(path string) error {
	parent := filepath.Dir(path)
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &ledger.TargetError{Path: parent, Text: "does not exist", Missing: true}
	case err == nil && !info.IsDir():
		return &ledger.TargetError{Path: parent, Text: "is not a directory"}
	}
	return err
}

// explain is Ledger.explain for an error about the place of the copy.
func (p *part) explain(err error) error {
	return (&Ledger{}).explainAt(strings.TrimSuffix(p.dir.Path(), partSuffix), err)
}

func (l *Ledger) explainAt(place string, err error) error {
	if err == nil || errors.As(err, new(*ledger.Error)) || errors.As(err, new(*ledger.TargetError)) {
		return err
	}
	return &ledger.Error{Place: place, Err: l.classify(err)}
}

// secretIfAny returns the secret, or nil when there is none.
func (l *Ledger) secretIfAny() ([]byte, error) {
	secret, err := l.dir.Secret()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return secret, err
}

// fits refuses a copy for which the place has too little space.
func (c *copier) fits(p *part) error {
	records, outputs, _, err := c.ledger.size()
	if err != nil {
		return err
	}
	need := records
	if c.archived {
		need += records
	}
	if !c.noOutput && !c.streamed {
		need += outputs
	}
	free, err := p.dir.Free()
	if err == nil && free < need+spareSpace {
		err = fmt.Errorf("%w: the copy needs about %d KiB, and %d KiB are free", ledger.ErrFull, (need+spareSpace)>>10, free>>10)
	}
	return p.explain(err)
}

// spareSpace is for the small files of a copy and for the file system.
const spareSpace = 256 << 10

// size returns the space in bytes that the records and the files of outputs need, and how
// many such files there are.
func (l *Ledger) size() (records, outputs int64, files int, err error) {
	for _, name := range []string{"ledger.db", walName} {
		if info, err := os.Lstat(l.dir.File(name)); err == nil {
			records += info.Size()
		}
	}
	err = l.dir.Entries("output", func(e localdir.Entry) {
		files++
		outputs += (e.Size + 4095) &^ 4095
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return records, outputs, files, err
}
