package sqlite

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

// readme is what a stranger finds in a ledger's directory.
const readme = `This directory is a ledger of idem, an idempotent task executor: its memory of
which commands have run, and how they ended. Deleting or editing anything here
can make a payment or a deploy run twice.

  ledger.db, ledger.db-wal, ledger.db-shm   the records (SQLite; copy all or none)
  locks, locks.d                            who is running what; never remove it
  output/                                   recorded output of larger runs
  secret                                    keys the hashes of environment variables
  init.lock                                 held while the ledger is made

Look at it with: idem list, idem show KEY, idem logs KEY
`

// maxPlace leaves room for the names of the files in SQLite's 512 bytes
// (MAX_PATHNAME in os_unix.c).
const maxPlace = 480

// safePlace returns dir with its symbolic links resolved, after it has made
// sure that no other user can put another ledger in its place: no link on the way
// is another user's, and no directory on the way belongs to another user, root
// aside, or can be written by one unless it is sticky. The latter is accepted of
// directories above the ledger's with trust. The directory itself must be ours
// and closed to other users. A part that does not exist is fine; exists reports
// whether there may be a ledger: an empty directory of ours is none, whatever its
// mode.
func safePlace(dir string, trust bool) (resolved string, exists bool, err error) {
	if !filepath.IsAbs(dir) {
		return "", false, fmt.Errorf("%w: %q is not an absolute path", ledger.ErrUnsafe, dir)
	}
	if len(dir) > maxPlace {
		return "", false, fmt.Errorf("%w: the path has %d bytes, SQLite takes %d", ledger.ErrUnsafe, len(dir), maxPlace)
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

// othersCanWrite reports whether another user could rename what is in a
// directory. A group that has the number of its user is that user's own, where
// the umask leaves it the right to write.
func othersCanWrite(info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSticky != 0 {
		return false
	}
	st := status(info)
	ownGroup := int(st.Uid) == os.Geteuid() && st.Gid == st.Uid
	return info.Mode().Perm()&0o002 != 0 || info.Mode().Perm()&0o020 != 0 && !ownGroup
}

// overflowUID is who root is inside of a user namespace that does not have him
// (user_namespaces(7)).
const overflowUID = 65534

func trusted(info fs.FileInfo) bool {
	uid := owner(info)
	return uid == 0 || uid == os.Geteuid() || uid == overflowUID
}

// checkOwn makes sure that the ledger's directory is ours alone. One that is
// empty need not be closed to other users yet; exists is false then, and what
// they put there before it is closed is refused.
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

// contentOf says what is in a directory, "" if it cannot be listed.
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
		if name == "ledger.db" || name == "locks" || name == "locks.d" || name == "init.lock" {
			return ledger.ContentLedger
		}
	}
	if len(names) > 0 {
		return ledger.ContentOther
	}
	return ledger.ContentNone
}

// unsafe is the fault of a directory or link that makes a place unsafe.
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

// checkOwners makes sure that what is there of a ledger is ours: another user may
// have put it there while they could.
func checkOwners(dir string) error {
	for _, name := range []string{
		"ledger.db", walName, "ledger.db-shm", "ledger.db-journal", "locks", "locks.d", "init.lock", "output", "secret", "secret.new", "README",
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

// ourFile returns what is at path, nil for nothing, and refuses what is not a
// plain file of one name: two names would be two ledgers to SQLite, which finds
// the -wal by the name.
func ourFile(path string) (fs.FileInfo, error) {
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

// nearest returns dir or, when it does not exist, the directory above it that
// does: a file system is refused before anything is made on it.
func nearest(dir string) string {
	for dir != "/" {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// makeDir makes dir and the directories above it that are missing, closed to
// others whatever the umask, each durable in its parent.
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
			return nil // somebody was faster
		}
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
