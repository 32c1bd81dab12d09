package sqlite

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// directory is the directory of one ledger. Files in it are made, opened for
// writing and removed through one descriptor of it. They are those of the
// ledger that was opened, wherever it has been moved to, and never those of
// another one that takes its place. SQLite opens its files by path; pins tell
// whether the path has led to the same files.
type directory struct {
	path string

	mu   sync.Mutex
	root int                 // the descriptor; -1 until it is needed
	pins map[string]identity // files by which the ledger is known
	sure bool                // root has been compared with pins
}

// identity is which file a file is, whatever its name.
type identity struct{ dev, ino uint64 }

func newDirectory(path string) *directory {
	return &directory{path: path, root: -1, pins: map[string]identity{}}
}

// pin says that the ledger has this file under name.
func (d *directory) pin(name string, file identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pins[name], d.sure = file, false
}

// learn pins the file that has the name, unless there is a pin for it, and
// returns the size of that file.
func (d *directory) learn(name string) (size int64, err error) { return d.look(name, false) }

// relearn is learn, whatever the pin was.
func (d *directory) relearn(name string) error {
	_, err := d.look(name, true)
	return err
}

func (d *directory) look(name string, again bool) (size int64, err error) {
	root, err := d.fd()
	if err != nil {
		return 0, err
	}
	file, size, err := fstatat(root, name)
	if err != nil {
		return 0, d.fault("lstat", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.pins[name]; !ok || again {
		d.pins[name] = file
	}
	return size, nil
}

// pinned returns what pin was given for name.
func (d *directory) pinned(name string) (identity, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file, ok := d.pins[name]
	return file, ok
}

// fd returns the descriptor, of a directory in which the names lead to the files
// that are pinned.
func (d *directory) fd() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root < 0 {
		fd, err := openat(unix.AT_FDCWD, d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: d.path, Err: err}
		}
		d.root = fd
	}
	if !d.sure {
		for _, name := range slices.Sorted(maps.Keys(d.pins)) {
			if now, _, err := fstatat(d.root, name); err != nil || now != d.pins[name] {
				return -1, d.replaced(name, err)
			}
		}
		d.sure = true
	}
	return d.root, nil
}

// names returns the names of all pins.
func (d *directory) names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.pins))
}

// check makes sure that the path still leads to the files that are pinned under
// the names, without any under all names: not to a ledger that was put in the place of this one.
func (d *directory) check(names ...string) error {
	if len(names) == 0 {
		names = d.names()
	}
	for _, name := range names {
		pin, ok := d.pinned(name)
		if !ok {
			continue
		}
		info, err := os.Lstat(d.file(name))
		if err != nil || identityOf(info) != pin {
			return d.replaced(name, err)
		}
	}
	return nil
}

// close frees the descriptor.
func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root >= 0 {
		_ = unix.Close(d.root)
	}
	d.root, d.sure = -1, false
}

// replaced is the fault of a name that no longer leads to its file. found is why
// it leads to none, nil if it leads to another.
func (d *directory) replaced(name string, found error) error {
	text, what := name, " was replaced while it was in use"
	if name == "." {
		text = "the directory"
	}
	if found != nil {
		what = " was removed or moved away while it was in use"
	}
	return d.damage(ledger.FaultReplaced, name, text+what)
}

func (d *directory) damage(kind ledger.FaultKind, name, text string) error {
	return &ledger.Fault{Kind: kind, Is: ledger.ErrCorrupt, Path: d.file(name), Text: text}
}

// file returns the path of a file in the directory, as it was when the ledger
// was opened.
func (d *directory) file(name string) string { return filepath.Join(d.path, name) }

// open opens a file as os.OpenFile does, without following a link and without
// Go's poller, which ends the process where a sandbox or a limit refuses it.
func (d *directory) open(name string, flag int, perm uint32) (*os.File, error) {
	root, err := d.fd()
	if err != nil {
		return nil, err
	}
	fd, err := openat(root, name, flag|unix.O_NOFOLLOW, perm)
	if err != nil {
		return nil, d.fault("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.file(name)), nil
}

// create opens a file, which is made unless it is there, with mode 0600 whatever
// the umask.
func (d *directory) create(name string, flag int) (*os.File, error) {
	f, err := d.open(name, flag|unix.O_CREAT, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// write makes a file or, if it is there, writes over its beginning.
func (d *directory) write(name, content string) error {
	f, err := d.create(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// stat returns which file has the name.
func (d *directory) stat(name string) (identity, error) {
	root, err := d.fd()
	if err != nil {
		return identity{}, err
	}
	file, _, err := fstatat(root, name)
	return file, d.fault("lstat", name, err)
}

// mkdir makes a directory, unless it is there, closed to other users whatever
// the umask.
func (d *directory) mkdir(name string) error {
	root, err := d.fd()
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(root, name, 0o700); err == unix.EEXIST {
		return nil
	} else if err != nil {
		return d.fault("mkdir", name, err)
	}
	return d.fault("chmod", name, unix.Fchmodat(root, name, 0o700, 0))
}

func (d *directory) remove(name string) error {
	root, err := d.fd()
	if err != nil {
		return err
	}
	return d.fault("remove", name, unix.Unlinkat(root, name, 0))
}

func (d *directory) rename(from, to string) error {
	root, err := d.fd()
	if err != nil {
		return err
	}
	return d.fault("rename", from, unix.Renameat(root, from, root, to))
}

// sync makes the names in a directory durable: in this one if name is ".".
func (d *directory) sync(name string) error {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *directory) fault(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.file(name), Err: err}
}

func openat(root int, name string, flag int, perm uint32) (fd int, err error) {
	for {
		fd, err = unix.Openat(root, name, flag|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func fstatat(root int, name string) (identity, int64, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(root, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != unix.EINTR {
			return identity{uint64(st.Dev), st.Ino}, st.Size, err
		}
	}
}

func identityOf(info fs.FileInfo) identity {
	st := status(info)
	return identity{uint64(st.Dev), st.Ino}
}
