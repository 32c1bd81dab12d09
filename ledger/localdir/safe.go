package localdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// maxPath is the maximum length of a ledger's path in bytes. It leaves room for the
// file names within SQLite's limit of 512 bytes (MAX_PATHNAME in os_unix.c).
const maxPath = 480

// resolve returns dir with its symbolic links resolved. It first checks that no other
// user can put another ledger at the path:
//   - Each link in the path belongs to this user or root.
//   - Each directory in the path belongs to this user or root, and other users cannot
//     write to it unless it is sticky. With trust, this condition is dropped for the
//     directories above dir.
//   - The directory dir belongs to this user and is closed to other users.
//
// Parts of the path may be missing. The result exists reports whether dir may have a
// ledger. An empty directory of this user has none, whatever its mode.
func resolve(dir string, trust bool) (resolved string, exists bool, err error) {
	if !filepath.IsAbs(dir) {
		return "", false, fmt.Errorf("%w: %q is not an absolute path", ledger.ErrUnsafe, dir)
	}
	if len(dir) > maxPath {
		return "", false, fmt.Errorf("%w: the path has %d bytes, SQLite takes %d", ledger.ErrUnsafe, len(dir), maxPath)
	}
	todo := strings.Split(filepath.Clean(dir), "/")
	at := "/"
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(append([]string{next}, todo...)...), false, nil
		}
		if err != nil {
			return "", false, err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if uid := owner(info); uid != 0 && uid != os.Geteuid() {
				return "", false, unsafe(ledger.FaultLink, next, info, "%s is a link of another user", next)
			}
			if links++; links > 40 {
				return "", false, &fs.PathError{Op: "open", Path: dir, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", false, err
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			todo = append(strings.Split(target, "/"), todo...)
		case !info.IsDir():
			return "", false, fmt.Errorf("%w: %s is not a directory", ledger.ErrForeign, next)
		case len(todo) > 0 && !trust && othersCanWrite(info):
			return "", false, unsafe(ledger.FaultParentOpen, next, info, "other users can write to %s", next)
		case len(todo) > 0 && !trust && !trusted(info):
			return "", false, unsafe(ledger.FaultParentOwner, next, info, "%s belongs to user %d, who could put something else there", next, owner(info))
		default:
			at = next
		}
	}
	exists, err = checkOwn(at)
	return at, exists, err
}

// othersCanWrite reports whether another user could rename files in a directory. A
// group with the same number as this user is private to the user. On systems with such
// groups, the umask leaves the group the right to write.
func othersCanWrite(info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSticky != 0 {
		return false
	}
	st := status(info)
	ownGroup := int(st.Uid) == os.Geteuid() && st.Gid == st.Uid
	return info.Mode().Perm()&0o002 != 0 || info.Mode().Perm()&0o020 != 0 && !ownGroup
}

// overflowUID is the owner of root's files in a user namespace that does not map root
// (user_namespaces(7)).
const overflowUID = 65534

func trusted(info fs.FileInfo) bool {
	uid := owner(info)
	return uid == 0 || uid == os.Geteuid() || uid == overflowUID
}

// checkOwn checks that the ledger's directory belongs to this user and is closed to
// other users. An empty directory need not be closed yet, and exists is then false.
// Files that other users put there before it is closed are refused later, see
// checkOwners.
func checkOwn(dir string) (exists bool, err error) {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return false, err
	case owner(info) != os.Geteuid():
		return false, otherOwner(dir, info)
	case !openToOthers(info):
		return true, nil
	case contentOf(dir) == ledger.ContentNone:
		return false, nil
	}
	return false, unsafe(ledger.FaultOpen, dir, info, "%s is open to other users", dir)
}

func openToOthers(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o077 != 0 || info.Mode()&fs.ModeSticky != 0
}

// contentOf returns the value of Fault.Content for a directory: "" if it cannot be
// listed.
func contentOf(dir string) string {
	f, err := os.Open(dir)
	if err != nil {
		return ""
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return ""
	}
	for _, name := range names {
		switch name { // every ledger has at least one of these files
		case "ledger.db", "locks", "locks.d", "init.lock", "MOVED":
			return ledger.ContentLedger
		}
	}
	if len(names) > 0 {
		return ledger.ContentOther
	}
	return ledger.ContentNone
}

// unsafe returns the fault of a directory or link that makes a path unsafe.
func unsafe(kind ledger.FaultKind, path string, info fs.FileInfo, format string, args ...any) error {
	f := &ledger.Fault{
		Kind: kind, Is: ledger.ErrUnsafe, Path: path, Text: fmt.Sprintf(format, args...),
		Ours: owner(info) == os.Geteuid(), AnyWrites: info.Mode().Perm()&0o002 != 0,
	}
	if info.IsDir() {
		f.Writable = unix.Access(path, unix.W_OK|unix.X_OK) == nil
		f.Content = contentOf(path)
		f.Within = ledger.WithinYes
		if othersCanWrite(info) || !trusted(info) {
			f.Within = ledger.WithinTrusted
		}
		if !f.Writable {
			f.Within = ledger.WithinNo
		}
	}
	return f
}

func otherOwner(path string, info fs.FileInfo) error {
	return unsafe(ledger.FaultOwner, path, info, "%s belongs to user %d", path, owner(info))
}

// checkOwners checks that all ledger files in dir belong to this user. Another user may
// have put one there while the directory was open to other users.
func checkOwners(dir string) error {
	for _, name := range []string{ // all files that a ledger may have
		"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal", "locks", "locks.d", "init.lock", "output", "secret", "secret.new", "README", "MOVED", "PART", "receipts",
	} {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case owner(info) != os.Geteuid():
			return otherOwner(path, info)
		}
	}
	return nil
}

func status(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

func owner(info fs.FileInfo) int { return int(status(info).Uid) }

// Lookup returns the description of the file that has the name, or nil when there is
// none. It refuses anything but a plain file of this user with one name. SQLite finds
// the -wal by the name of the database, so two names would be two ledgers.
func (d *Dir) Lookup(name string) (fs.FileInfo, error) {
	path := d.File(name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a plain file", ledger.ErrForeign, path)
	case owner(info) != os.Geteuid():
		return nil, otherOwner(path, info)
	case status(info).Nlink != 1:
		return nil, &ledger.Fault{
			Kind: ledger.FaultSecondName, Is: ledger.ErrUnsafe, Path: path,
			Text: path + " has a second name (a hard link)",
		}
	}
	return info, nil
}
