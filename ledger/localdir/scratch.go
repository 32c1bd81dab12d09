package localdir

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// backlogReserve is the space that a backlog leaves free: the outcomes of all
// keys need some, and a reader that is slow must not cost one.
const backlogReserve = 16 << 20

// Backlog is a file for live output that its reader does not take yet. It has
// no name and so is gone with its last descriptor.
type Backlog struct {
	*os.File
	free int64 // how much may be written before the space is looked at again
}

// Scratch returns a new file in the ledger's directory that has no name, so it is
// gone with its last descriptor.
func (d *Dir) Scratch() (*os.File, error) { return d.Unnamed("output") }

// Backlog returns a new one in the ledger's directory.
func (d *Dir) Backlog() (*Backlog, error) {
	f, err := d.Scratch()
	if err != nil {
		return nil, err
	}
	return &Backlog{File: f}, nil
}

// WriteAt writes as long as that leaves backlogReserve bytes free.
func (b *Backlog) WriteAt(p []byte, off int64) (int, error) {
	if b.free < int64(len(p)) {
		left, err := freeSpace(b.File)
		if err != nil {
			return 0, err
		}
		if left < backlogReserve+int64(len(p)) {
			return 0, ledger.ErrFull
		}
		b.free = min(left-backlogReserve, 4<<20)
	}
	b.free -= int64(len(p))
	return b.File.WriteAt(p, off)
}

// freeSpace returns how many bytes this user may still write beside f.
func freeSpace(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// removed is Unnamed where the kernel has no such files. As long as the file has a
// name, it is empty.
func (d *Dir) removed(in string) (*os.File, error) {
	name := filepath.Join(in, "live-"+rand.Text())
	f, err := d.Create(name, os.O_RDWR|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := d.Remove(name); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
