package filelock

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// listDir is on every Linux system a file system in memory, which openList checks. Its
// names are secret, so no other user can put a list there.
const (
	listDir    = "/dev/shm"
	listPrefix = "idem-"
)

func listPath(name string) string { return filepath.Join(listDir, listPrefix+name) }

func createList() (string, *os.File) {
	name := rand.Text()
	f, err := openList(name, unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return "", nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return "", nil
	}
	return name, f
}

var errNoList = errors.New("not a list")

// openList opens a list. It refuses a file on a disk, and one of another user.
func openList(name string, flag int) (*os.File, error) {
	fd, err := unix.Open(listPath(name), flag|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(fd, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || unix.Fstat(fd, &st) != nil ||
		st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		if flag&unix.O_CREAT != 0 {
			_ = unix.Unlink(listPath(name))
		}
		_ = unix.Close(fd)
		return nil, errNoList
	}
	_ = unix.SetNonblock(fd, false) // it is a regular file, so NewFile must not poll it
	return os.NewFile(uintptr(fd), listPath(name)), nil
}

// NeverStarted reports whether a process that held the claim of an attempt until now, or
// until its death, has not started the attempt's command. list is that of the attempt.
// The caller knows that no process holds the claim.
func NeverStarted(list, runID string) bool {
	at, f := find(list, runID)
	if f != nil {
		f.Close()
	}
	return at >= 0
}

// ForgetUnstarted removes an attempt from the list of a dead process, because it is
// recorded no more. It removes a list that is empty then.
func ForgetUnstarted(list, runID string) {
	at, f := find(list, runID)
	if f == nil {
		return
	}
	defer f.Close()
	if at >= 0 {
		_, _ = f.WriteAt(make([]byte, entrySize), at)
	}
	removeIfEmpty(list, f)
}

// find returns the position of an attempt in a list, or -1, and the list, or nil.
func find(list, runID string) (int64, *os.File) {
	if list == "" || strings.ContainsAny(list, "/\x00") {
		return -1, nil
	}
	f, err := openList(list, 0)
	if err != nil {
		return -1, nil
	}
	content, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return -1, nil
	}
	want := entryOf(runID)
	for at := 0; at+entrySize <= len(content); at += entrySize {
		if entry(content[at:]) == want {
			return int64(at), f
		}
	}
	return -1, f
}

// removeIfEmpty removes the list of a dead process that has no attempts.
func removeIfEmpty(list string, f *os.File) {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return // its process is alive
	}
	content, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err == nil && strings.Trim(string(content), "\x00") == "" {
		_ = unix.Unlink(listPath(list))
	}
}

func removeEmptyLists() {
	names, _ := filepath.Glob(filepath.Join(listDir, listPrefix+"*"))
	for _, name := range names {
		list := strings.TrimPrefix(filepath.Base(name), listPrefix)
		if f, err := openList(list, 0); err == nil {
			removeIfEmpty(list, f)
			f.Close()
		}
	}
}
