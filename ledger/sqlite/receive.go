package sqlite

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// receiver takes the files of a backup into a part. A backup may come from anywhere, so only
// the files of a ledger are taken, and their names decide where they go.
type receiver struct {
	ctx     context.Context
	part    *part
	seen    map[string]bool
	witness []byte // nil: none was received
}

// errNoBackup: the files are not those of a ledger.
var errNoBackup = errors.New("it is no copy of a ledger")

// unfinishedLocks is what a kill leaves where the locks are a directory.
const unfinishedLocks = "locks.d.new"

// take takes one file of a backup. name has slashes and no dots as elements. Files that have no
// content to keep are ignored.
func (v *receiver) take(name string, size int64, r io.Reader) error {
	if v.seen[name] {
		return fmt.Errorf("%w: it has %q twice", errNoBackup, name)
	}
	v.seen[name] = true
	switch name {
	case "README", "init.lock", "ledger.db-shm", receiptsName:
		return nil
	case "secret.new", movedMark + ".new", "locks.new": // a kill has left them before they counted; MOVED itself counts
		return nil
	case "ledger.db", walName:
		return v.keep(name, size, r)
	case "secret":
		if size != 32 {
			return fmt.Errorf("%w: its secret has %d bytes", errNoBackup, size)
		}
		return v.keep(name, size, r)
	case witnessEntry, "locks.d/writers":
		if size > witnessSize {
			return fmt.Errorf("%w: %s has %d bytes", errNoBackup, name, size)
		}
		var err error
		v.witness, err = io.ReadAll(io.LimitReader(r, witnessSize))
		return err
	}
	if strings.HasPrefix(name, "locks.d/") || strings.HasPrefix(name, unfinishedLocks+"/") {
		return nil
	}
	if run, ok := strings.CutPrefix(name, "output/"); ok && isRunID(run) {
		return v.keep(name, size, r)
	}
	return fmt.Errorf("%w: it has %q", errNoBackup, name)
}

// isRunID reports whether a name can be that of an output.
func isRunID(name string) bool {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}

// keep stores a file, if it has room.
func (v *receiver) keep(name string, size int64, r io.Reader) error {
	dir := v.part.dir
	free, err := dir.Free()
	if err != nil {
		return err
	}
	if size > free-spareSpace {
		return fmt.Errorf("%w: %s needs %d KiB, and %d KiB are free", ledger.ErrFull, name, size>>10, free>>10)
	}
	if strings.HasPrefix(name, "output/") {
		if err := dir.Mkdir("output"); err != nil {
			return err
		}
	}
	f, err := dir.Create(name, os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return err
	}
	n, err := io.Copy(stepwise{v.ctx, f}, io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// whole checks that nothing of a backup is missing. The witness is the last file of a tar.
func (v *receiver) whole() error {
	for _, name := range []string{"ledger.db", witnessEntry} {
		if !v.seen[name] && (name != witnessEntry || !v.seen["locks.d/writers"]) {
			return fmt.Errorf("%w: %s is missing, so it was cut off or is none", errNoBackup, name)
		}
	}
	return nil
}

// fromTar takes the files of a tar.
func (v *receiver) fromTar(r io.Reader) error {
	for files := tar.NewReader(r); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return v.whole()
		}
		if err != nil {
			return readingTar(err)
		}
		name := path.Clean(head.Name)
		switch {
		case head.Typeflag == tar.TypeDir && slices.Contains([]string{".", "output", "locks.d", unfinishedLocks}, name):
			continue
		case head.Typeflag != tar.TypeReg || isSparse(head) || path.IsAbs(name):
			return fmt.Errorf("%w: %q is not a plain file", errNoBackup, head.Name)
		}
		if err := v.take(name, head.Size, files); err != nil {
			return readingTar(err)
		}
	}
}

func isSparse(head *tar.Header) bool {
	for key := range head.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// readingTar returns the error of a tar that is damaged, cut off or none.
func readingTar(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrInsecurePath) {
		return fmt.Errorf("%w: %w", errNoBackup, err)
	}
	return err
}

// fromDir takes the files of a directory. If they are those of a ledger, it holds the writers'
// turn during that time, because a file that is written to would be copied without its last changes.
func (v *receiver) fromDir(dir string) error {
	end, err := sourceTurn(dir)
	if err != nil {
		return err
	}
	defer end()
	for _, sub := range []string{"", "output", "locks.d"} {
		names, err := namesIn(filepath.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) && sub != "" {
			continue
		}
		if err != nil {
			return err
		}
		if slices.Contains(names, partMark) {
			return fmt.Errorf("%w: it is unfinished", errNoBackup)
		}
		slices.Sort(names)
		for _, name := range names {
			if sub == "" && (name == "output" || name == "locks.d" || name == unfinishedLocks) {
				continue
			}
			if err := v.fromFile(dir, filepath.Join(sub, name)); err != nil {
				return err
			}
		}
	}
	return v.whole()
}

// sourceTurn waits for the writers' turn of a ledger that serves as a backup. It refuses one that
// calls use. A backup on a read-only disk cannot be written to.
func sourceTurn(path string) (end func(), err error) {
	l := &Ledger{dir: localdir.New(path)}
	l.locks = filelock.New(l.dir)
	locks, err := l.locks.Exists()
	if err != nil || !locks {
		return func() {}, nil // take says what is wrong with it
	}
	t, err := l.takeTurn()
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	busy, err := l.locks.Busy()
	if busy {
		err = &ledger.TargetError{Path: path, Text: "is a ledger that is in use", Hint: "copy it while it is in use: idem --ledger DIR ledger backup TO"}
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t.end, nil
}

func (v *receiver) fromFile(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %q is not a plain file", errNoBackup, name)
	}
	return v.take(name, info.Size(), f)
}

// partOutputs are the outputs that a part has already.
type partOutputs struct{ part *part }

func (o partOutputs) take(runID string) (int64, error) {
	info, err := os.Lstat(o.part.dir.File(spoolName(runID)))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
