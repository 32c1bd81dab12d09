package localdir

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is a file in a subdirectory.
type Entry struct {
	Name    string
	Regular bool // no directory, link or device
	Size    int64
	Changed time.Time // when its content was changed last
}

// entriesPage is the number of names that Entries reads at once.
const entriesPage = 1000

// Entries calls f for each file in a subdirectory, in no order. It follows no link to a file. A
// file that is removed during the call may be left out.
func (d *Dir) Entries(name string, f func(Entry)) error {
	dir, err := d.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(entriesPage)
		for _, n := range names {
			var st unix.Stat_t
			err := unix.Fstatat(int(dir.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				return &os.PathError{Op: "lstat", Path: d.File(name), Err: err}
			}
			f(Entry{n, st.Mode&unix.S_IFMT == unix.S_IFREG, st.Size, time.Unix(st.Mtim.Unix())})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
