package localdir

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// backlogReserve is the disk space in bytes that a backlog leaves free. The outcomes of
// all keys need some space, and a slow reader of output must not cost an outcome.
const backlogReserve = 16 << 20

// Backlog is a file for live output that the output's reader has not consumed yet. It
// has no name, so it is deleted when its last descriptor is closed.
type Backlog struct {
	*os.File
	free int64 // bytes that may be written before the free space is measured again
}

// Scratch returns a new file without a name in the ledger's directory. The file is
// deleted when its last descriptor is closed.
func (d *Dir) Scratch() (*os.File, error) { return d.Unnamed("output") }

// Backlog returns a new, empty backlog in the ledger's directory.
func (d *Dir) Backlog() (*Backlog, error) {
	f, err := d.Scratch()
	if err != nil {
		return nil, err
	}
	return &Backlog{File: f}, nil
}

// WriteAt implements io.WriterAt. It returns ledger.ErrFull if the write would leave
// less than backlogReserve bytes free.
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

// freeSpace returns how many bytes this user may still write on the file system of f.
func freeSpace(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// createRemoved is Unnamed for systems that cannot create a file without a name. It creates
// a file and removes its name while the file is still empty.
func (d *Dir) createRemoved(in string) (*os.File, error) {
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
