// Package localdir is the directory in which a ledger keeps its files on this host.
// It has no notion of records. The package
//   - decides whether a path is safe for a ledger;
//   - creates the directory and the files in it;
//   - detects that the directory or one of its files was replaced;
//   - stores the ledger's secret;
//   - creates files without a name.
package localdir

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

// Dir is the directory of one ledger. One descriptor of the directory is used to
// create files, to open them for writing and to remove them. So they are always files
// of the ledger that was opened, even if its directory was moved and another ledger
// was put at its path. SQLite opens its files by path. The pins show whether the path
// led to the same files.
type Dir struct {
	path  string
	trust bool // see Find

	mu       sync.Mutex
	root     int                 // the descriptor; -1 until it is needed
	pins     map[string]Identity // the ledger's files, by name
	verified bool                // root has been compared with pins
}

// Identity identifies a file independently of its name.
type Identity struct {
	Device uint64
	Inode  uint64
}

// New returns the directory at path. It does not access the path.
func New(path string) *Dir {
	return &Dir{path: path, root: -1, pins: map[string]Identity{}}
}

// Find resolves the symbolic links of path and returns the directory. It first checks
// that the path is safe: no other user can put another ledger there. With trust, it
// accepts directories above path that other users can write to. The result exists
// reports whether there may be a ledger.
//
// The error is a *ledger.Fault, or wraps ledger.ErrUnsafe or ledger.ErrForeign. The
// Dir is then that of the unresolved path.
func Find(path string, trust bool) (d *Dir, exists bool, err error) {
	resolved, exists, err := resolve(path, trust)
	if err != nil {
		return New(path), false, err
	}
	d = New(resolved)
	d.trust = trust
	return d, exists, nil
}

// Exists reports whether there may be a ledger now. It returns an error if the path
// has become unsafe.
func (d *Dir) Exists() (bool, error) {
	_, exists, err := resolve(d.path, d.trust)
	return exists, err
}

// CheckFS returns an error if the directory's file system cannot hold a ledger. On
// such a file system, locks may not reach all processes that see its files.
func (d *Dir) CheckFS() error { return checkFS(d.path) }

// MakeParent creates the missing directories above the directory. It first checks the file
// system, as CheckFS does.
func (d *Dir) MakeParent() error {
	if err := checkFS(nearest(d.path)); err != nil {
		return err
	}
	return makeDir(filepath.Dir(d.path))
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Verify opens the directory if it is not open yet, and checks that the names in it
// lead to the pinned files.
func (d *Dir) Verify() error {
	_, err := d.fd()
	return err
}

// Free returns how many bytes this user may still write in the directory.
func (d *Dir) Free() (int64, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return freeSpace(f)
}

// Pin records that the file with the name must be this one.
func (d *Dir) Pin(name string, file Identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pins[name], d.verified = file, false
}

// Learn pins the file that has the name now, unless the name has a pin. It returns the
// size of the file in bytes.
func (d *Dir) Learn(name string) (size int64, err error) { return d.pinNow(name, false) }

// Relearn pins the file that has the name now, and replaces an earlier pin.
func (d *Dir) Relearn(name string) error {
	_, err := d.pinNow(name, true)
	return err
}

func (d *Dir) pinNow(name string, again bool) (size int64, err error) {
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

// Pinned returns the file that is pinned under the name.
func (d *Dir) Pinned(name string) (Identity, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file, ok := d.pins[name]
	return file, ok
}

// fd returns the descriptor of the directory, after it has checked that the names in
// the directory lead to the pinned files.
func (d *Dir) fd() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root < 0 {
		fd, err := openat(unix.AT_FDCWD, d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: d.path, Err: err}
		}
		d.root = fd
	}
	if !d.verified {
		for _, name := range slices.Sorted(maps.Keys(d.pins)) {
			if now, _, err := fstatat(d.root, name); err != nil || now != d.pins[name] {
				return -1, d.Replaced(name, err)
			}
		}
		d.verified = true
	}
	return d.root, nil
}

// pinnedNames returns the names of all pins.
func (d *Dir) pinnedNames() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.pins))
}

// Check checks that the directory's path still leads to the files that are pinned
// under the names. Without names, it checks all pinned files. It fails with a
// *ledger.Fault when another ledger was put at the path of this one.
func (d *Dir) Check(names ...string) error {
	if len(names) == 0 {
		names = d.pinnedNames()
	}
	for _, name := range names {
		pin, ok := d.Pinned(name)
		if !ok {
			continue
		}
		info, err := os.Lstat(d.File(name))
		if err != nil || IdentityOf(info) != pin {
			return d.Replaced(name, err)
		}
	}
	return nil
}

// Close closes the descriptor. The pins remain.
func (d *Dir) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root >= 0 {
		_ = unix.Close(d.root)
	}
	d.root, d.verified = -1, false
}

// Replaced returns the fault of a name that no longer leads to its file. The argument
// lookupErr is the error of looking for the file, or nil if another file has the name.
func (d *Dir) Replaced(name string, lookupErr error) error {
	text, what := name, " was replaced while it was in use"
	if name == "." {
		text = "the directory"
	}
	if lookupErr != nil {
		what = " was removed or moved away while it was in use"
	}
	return d.Damage(ledger.FaultReplaced, name, text+what)
}

// Damage returns a fault of the file with the name. The fault makes the ledger
// unusable.
func (d *Dir) Damage(kind ledger.FaultKind, name, text string) error {
	return &ledger.Fault{Kind: kind, Is: ledger.ErrCorrupt, Path: d.File(name), Text: text}
}

// File returns the path of a file in the directory. It is the path at which the ledger
// was opened.
func (d *Dir) File(name string) string { return filepath.Join(d.path, name) }

// Open opens a file like os.OpenFile, with two differences. It does not follow a link,
// and it does not use Go's poller, which ends the process where a sandbox or a limit
// refuses it.
func (d *Dir) Open(name string, flag int, perm uint32) (*os.File, error) {
	root, err := d.fd()
	if err != nil {
		return nil, err
	}
	fd, err := openat(root, name, flag|unix.O_NOFOLLOW, perm)
	if err != nil {
		return nil, d.fault("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.File(name)), nil
}

// Create opens a file, or creates it if it is missing. It sets mode 0600, whatever the
// umask.
func (d *Dir) Create(name string, flag int) (*os.File, error) {
	f, err := d.Open(name, flag|unix.O_CREAT, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Write creates a file with the content. If the file exists, Write overwrites its
// beginning.
func (d *Dir) Write(name, content string) error {
	f, err := d.Create(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// Fill creates or replaces a file with the content. It appears whole, and is durable with its
// name after the next Sync of its directory. An error leaves nothing behind.
func (d *Dir) Fill(name string, content []byte) error {
	f, err := d.Create(name+".new", unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = d.Rename(name+".new", name)
	}
	if err != nil {
		_ = d.Remove(name + ".new")
	}
	return err
}

// Stat returns the identity of the file that has the name.
func (d *Dir) Stat(name string) (Identity, error) {
	root, err := d.fd()
	if err != nil {
		return Identity{}, err
	}
	file, _, err := fstatat(root, name)
	return file, d.fault("lstat", name, err)
}

// Size returns the size in bytes of the file that has the name. It does not follow a link.
func (d *Dir) Size(name string) (int64, error) {
	root, err := d.fd()
	if err != nil {
		return 0, err
	}
	_, size, err := fstatat(root, name)
	return size, d.fault("lstat", name, err)
}

// Mkdir creates a directory with mode 0700, whatever the umask. It does nothing if the
// directory exists.
func (d *Dir) Mkdir(name string) error {
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

// Remove removes a file.
func (d *Dir) Remove(name string) error {
	root, err := d.fd()
	if err != nil {
		return err
	}
	return d.fault("remove", name, unix.Unlinkat(root, name, 0))
}

// Rename renames a file in the directory. It replaces a file that has the new name.
func (d *Dir) Rename(from, to string) error {
	root, err := d.fd()
	if err != nil {
		return err
	}
	return d.fault("rename", from, unix.Renameat(root, from, root, to))
}

// Sync makes the file names in a subdirectory durable. With ".", it does so for this
// directory.
func (d *Dir) Sync(name string) error {
	f, err := d.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) fault(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.File(name), Err: err}
}

func openat(root int, name string, flag int, perm uint32) (fd int, err error) {
	for {
		fd, err = unix.Openat(root, name, flag|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func fstatat(root int, name string) (Identity, int64, error) {
	st, err := statat(root, name)
	return Identity{uint64(st.Dev), st.Ino}, st.Size, err
}

func statat(root int, name string) (st unix.Stat_t, err error) {
	for {
		if err = unix.Fstatat(root, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return st, err
		}
	}
}

// Taken returns how many bytes of its file system the file takes that info describes.
func Taken(info fs.FileInfo) int64 { return status(info).Blocks * 512 } // stat(2)

// IdentityOf returns the identity of the file that info describes.
func IdentityOf(info fs.FileInfo) Identity {
	st := status(info)
	return Identity{uint64(st.Dev), st.Ino}
}
