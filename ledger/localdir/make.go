package localdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
)

// Make creates the directory and the missing directories above it. It first checks that
// the path is safe. A directory that exists and is empty is closed to other users.
// From then on, all files are created in this same directory. If the path is unsafe, the
// error is a *ledger.Fault or wraps ledger.ErrUnsafe.
func (d *Dir) Make() error {
	if _, err := d.Exists(); err != nil {
		return err
	}
	if err := checkFS(nearest(d.path)); err != nil {
		return err
	}
	if err := makeDir(d.path); err != nil {
		return err
	}
	failpoint.Here("make.dir")
	return d.secure()
}

// secure pins the directory and checks that it is safe for a ledger. It closes an empty
// directory to other users.
func (d *Dir) secure() error {
	if _, err := d.Learn("."); err != nil {
		return err
	}
	f, err := d.Open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if owner(info) == os.Geteuid() && openToOthers(info) && contentOf(d.path) == ledger.ContentNone {
		if err := f.Chmod(0o700); err != nil {
			return err
		}
	}
	exists, err := d.Exists()
	switch {
	case err != nil:
		return err
	case !exists: // another process has moved the directory or opened it to other users
		return d.Replaced(".", nil)
	}
	if err := d.Check("."); err != nil {
		return err
	}
	return checkOwners(d.path)
}

// nearest returns dir or, when it does not exist, the nearest directory above it that
// exists. So a file system can be refused before anything is created on it.
func nearest(dir string) string {
	for dir != "/" {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// makeDir creates dir and the missing directories above it, with mode 0700 whatever the
// umask. It makes each one durable in its parent.
func makeDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another process was faster
		}
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the file names in a directory durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
