package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
// sure that nobody else can put another ledger in its place: the directory is
// ours and closed to others, no link on the way is somebody else's, and no
// directory on the way belongs to another user, root aside, or can be written by
// one unless it is sticky. A part
// that does not exist is fine; exists tells about dir itself.
func safePlace(dir string) (resolved string, exists bool, err error) {
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
				return "", false, fmt.Errorf("%w: %s is a link of another user", ledger.ErrUnsafe, next)
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
		case len(todo) > 0 && othersCanWrite(info):
			return "", false, fmt.Errorf("%w: other users can write to %s", ledger.ErrUnsafe, next)
		case len(todo) > 0 && !trusted(info):
			return "", false, fmt.Errorf("%w: %s belongs to user %d, who could put something else there", ledger.ErrUnsafe, next, owner(info))
		default:
			at = next
		}
	}
	return at, true, checkOwn(at)
}

// othersCanWrite tells whether somebody else could rename what is in a
// directory. A group that has the number of its user is that user's own, where
// the umask leaves it the right to write.
func othersCanWrite(info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSticky != 0 {
		return false
	}
	st := info.Sys().(*syscall.Stat_t)
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

// checkOwn makes sure that the ledger's directory is ours alone.
func checkOwn(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case owner(info) != os.Geteuid():
		return fmt.Errorf("%w: %s belongs to user %d", ledger.ErrUnsafe, dir, owner(info))
	case info.Mode().Perm()&0o077 != 0 || info.Mode()&fs.ModeSticky != 0:
		return fmt.Errorf("%w: %s is open to other users (chmod 700 it)", ledger.ErrUnsafe, dir)
	}
	return nil
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// isOurFile tells whether path exists, and refuses what is not a plain file of
// one name: two names would be two ledgers to SQLite, which finds the -wal by
// the name.
func isOurFile(path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%w: %s is not a plain file", ledger.ErrForeign, path)
	case info.Sys().(*syscall.Stat_t).Nlink != 1:
		return false, fmt.Errorf("%w: %s has a second name (a hard link)", ledger.ErrUnsafe, path)
	}
	return true, nil
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
