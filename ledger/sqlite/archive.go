package sqlite

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"idem/ledger/localdir"
)

// archiveName is the name of a tar in its part.
const archiveName = "archive.tar"

// streamPrefix is the beginning of the names of copies for a stream, in the directory for temporary
// files.
const streamPrefix = "idem-"

// unlockedAge is the age from which on an empty PART is left over. A process creates it, locks it, and
// then writes to it. So a younger one may be that of a process that is about to lock it.
const unlockedAge = time.Hour

// temporary returns the path of a copy for a stream. It removes the parts of such copies that a
// kill has left behind: no other copy has their names, which would remove them.
func (l *Ledger) temporary() string {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), streamPrefix+"*"+partSuffix, partMark))
	for _, mark := range left {
		if info, err := os.Lstat(mark); err != nil || info.Size() == 0 && time.Since(info.ModTime()) < unlockedAge {
			continue
		}
		dir, _, err := localdir.Find(filepath.Dir(mark), l.trust)
		if err != nil {
			continue // it belongs to another user
		}
		p := &part{dir: dir}
		if m, _, err := markIn(dir, partMark); err == nil && m.path == "" && p.claim("") == nil {
			p.discard()
		} else {
			dir.Close()
		}
	}
	return filepath.Join(os.TempDir(), streamPrefix+rand.Text())
}

// stepwise is a writer that ends with its context, between two writes.
type stepwise struct {
	ctx context.Context
	to  io.Writer
}

func (w stepwise) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.to.Write(p)
}

// archive writes a copy of a ledger as a tar. The witness is last: a tar that was cut off does
// not have it.
type archive struct {
	from *localdir.Dir
	tar  *tar.Writer
	now  time.Time
}

func newArchive(from *localdir.Dir, w io.Writer) *archive {
	return &archive{from: from, tar: tar.NewWriter(w), now: time.Now()}
}

func (a *archive) take(runID string) (int64, error) {
	f, err := openOutputFile(a.from, runID)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return a.file(spoolName(runID), f)
}

// file adds a file with the size that it has now. One that a command still writes to may grow.
func (a *archive) file(name string, f *os.File) (int64, error) {
	info, err := f.Stat()
	if err == nil {
		err = a.head(name, info.Size())
	}
	if err != nil {
		return 0, err
	}
	return io.CopyN(a.tar, f, info.Size())
}

func (a *archive) head(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.now})
}

func (a *archive) bytes(name string, content []byte) error {
	if err := a.head(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// close adds the other files and ends the tar. The records are in dir.
func (a *archive) close(dir *localdir.Dir, secret []byte, commits int64) error {
	if err := a.bytes("README", []byte(readme)); err != nil {
		return err
	}
	if secret != nil {
		if err := a.bytes("secret", secret); err != nil {
			return err
		}
	}
	db, err := dir.Open("ledger.db", os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	_, err = a.file("ledger.db", db)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := a.bytes(witnessEntry, witnessOf(commits)); err != nil {
		return err
	}
	return a.tar.Close()
}

// witnessEntry is the name of the witness in a tar, on every system.
const witnessEntry = "locks"
