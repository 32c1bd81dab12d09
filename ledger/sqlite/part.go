package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// part is a directory in which a copy of a ledger is made. It has the name of the copy with
// the suffix .part until the copy is complete. A kill leaves it behind, and the next copy of
// the same name removes it.
//
// The file PART is created first and removed last. So a directory with it is left over, and
// one without it is never removed. A process that makes a copy has it locked.
type part struct {
	dir       *localdir.Dir
	mark      *os.File
	published bool // it has got another name
}

const (
	partSuffix = ".part"
	partMark   = "PART"
)

// errCopying: another process makes a copy of the same name.
var errCopying = fmt.Errorf("%w: another idem is making this copy", ledger.ErrChanged)

// partFiles are the names that a part may have, besides PART.
var partFiles = []string{
	"README", "ledger.db", "ledger.db-journal", "ledger.db-wal", "ledger.db-shm", "secret", "output", "init.lock",
	"locks", "locks.new", "locks.d", unfinishedLocks, archiveName, receiptsName,
}

// newPart makes the part of the copy that is to be at path. text says whose copy it is. The
// error is a *ledger.Fault for an unsafe place, or wraps ledger.ErrChanged while another
// process makes the same copy.
func newPart(path string, trust bool, text string) (*part, error) {
	dir, exists, err := localdir.Find(path+partSuffix, trust)
	if err != nil {
		return nil, err
	}
	p := &part{dir: dir}
	if !exists {
		if err := os.Mkdir(dir.Path(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if err := p.claim(text); err != nil {
		dir.Close()
		if !exists {
			_ = os.Remove(dir.Path()) // unless it has got files
		}
		return nil, err
	}
	failpoint.Here("part.made")
	return p, nil
}

// claim takes the directory, and removes what an earlier copy has left in it.
func (p *part) claim(text string) error {
	if _, err := p.dir.Learn("."); err != nil {
		return err
	}
	names, err := namesIn(p.dir.Path())
	if err != nil {
		return err
	}
	if len(names) == 0 { // else a part has its mark
		mark, err := p.dir.Create(partMark, os.O_RDWR)
		if err != nil {
			return err
		}
		_ = mark.Close()
	}
	if err := p.lock(); err != nil {
		return err
	}
	if err := p.refuseLedger(parseMark(text, movingFor)); err != nil {
		return errors.Join(err, p.mark.Close())
	}
	err = p.empty()
	if err == nil {
		err = p.mark.Truncate(0)
	}
	if err == nil {
		_, err = p.mark.WriteAt([]byte(text), 0)
	}
	if err = errors.Join(err, p.mark.Sync()); err != nil {
		p.discard()
	}
	return err
}

// refuseLedger refuses the new place of a move that has arrived and lacks its last step. It also
// refuses that of an unfinished move from another place than by's, which may have the only copy.
func (p *part) refuseLedger(by moveMark) error {
	mark, _, err := markIn(p.dir, partMark)
	if err != nil || mark.path == "" {
		return err
	}
	locks, err := filelock.New(p.dir).Exists()
	if err == nil && (locks || mark.path != by.path) {
		err = &ledger.TargetError{Path: p.dir.Path(), Text: "has the ledger of a move from " + mark.path, Hint: "name another place, or make that move again"}
	}
	return err
}

// lock locks PART.
func (p *part) lock() error {
	mark, err := p.dir.Open(partMark, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &ledger.TargetError{Path: p.dir.Path(), Text: "exists, and no copy has left it behind", Hint: "look at it, and move it away"}
	}
	if err != nil {
		return err
	}
	err = unix.Flock(int(mark.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil { // the one who had it may have removed or completed it
		if err = p.dir.Check(); err == nil {
			err = sameFile(mark, p.dir, partMark)
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) || errors.As(err, new(*ledger.Fault)) {
		err = errCopying
	}
	if err != nil {
		return errors.Join(err, mark.Close())
	}
	p.mark = mark
	return nil
}

// sameFile returns a fault if the name leads to another file than f.
func sameFile(f *os.File, dir *localdir.Dir, name string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := dir.Stat(name)
	if err != nil || now != localdir.IdentityOf(info) {
		return dir.Replaced(name, err)
	}
	return nil
}

// namesIn returns the names in a directory.
func namesIn(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// empty removes all files but PART. It refuses a directory with a file that does
// not belong to a copy.
func (p *part) empty() error {
	names, err := namesIn(p.dir.Path())
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != partMark && !slices.Contains(partFiles, name) {
			return &ledger.TargetError{Path: p.dir.File(name), Text: "is no part of a copy", Hint: "look at it, and move it away"}
		}
	}
	for _, name := range names {
		if name == partMark {
			continue
		}
		if err := os.RemoveAll(p.dir.File(name)); err != nil {
			return err
		}
	}
	return nil
}

// discard removes the part, unless it has got its final name.
func (p *part) discard() {
	defer p.dir.Close()
	defer p.mark.Close()
	if !p.published && p.dir.Check() == nil && p.empty() == nil {
		_ = p.dir.Remove(partMark)
		_ = os.Remove(p.dir.Path())
	}
}

// put creates a durable file. Its name is durable after the next sync of its directory.
func (p *part) put(name string, content []byte) error {
	f, err := p.dir.Create(name, os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// unmark removes PART, when the copy is complete.
func (p *part) unmark() error {
	if err := p.dir.Remove(partMark); err != nil {
		return err
	}
	return p.dir.Sync(".")
}

// rename gives the directory its final name, which is absent or an empty directory.
func (p *part) rename(to string) error {
	if err := p.dir.Check("."); err != nil {
		return err
	}
	err := unix.Rename(p.dir.Path(), to) // os.Rename refuses an empty directory
	switch err {
	case nil:
		p.published = true
	case unix.ENOTEMPTY, unix.EEXIST:
		return fmt.Errorf("%w: %s is no longer empty", ledger.ErrChanged, to)
	case unix.EBUSY, unix.EXDEV:
		return &ledger.TargetError{Path: to, Text: "is a mount point", Hint: "name a directory in it, which does not exist yet"}
	default:
		return &os.LinkError{Op: "rename", Old: p.dir.Path(), New: to, Err: err}
	}
	return localdir.SyncDir(filepath.Dir(to))
}
