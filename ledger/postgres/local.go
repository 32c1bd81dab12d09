package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"idem/internal/bootid"
	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
	"idem/ledger/postgres/wire"
)

// local is the directory with the locks, the unfinished outputs and the kept outcomes of this
// host for one ledger.
type local struct {
	dir   *localdir.Dir
	locks filelock.Space
	// site identifies the locks of this directory as this kernel has them. A row of another
	// site is that of another host, of a copy of the directory, or from before a reboot.
	site wire.UUID

	witness witness
}

const localReadme = `This directory has this host's part of a shared ledger of idem, whose records are in
a PostgreSQL database. Deleting or editing anything here can make a payment or a deploy run
twice.

  locks, locks.d   which keys are running on this host; never remove it
  output/          output of commands that run now
  pending/         outcomes that the database does not have yet
  site             identifies this directory
  last             what the database has acknowledged last; it shows that nothing was forgotten
  init.lock        held while the directory is made
`

// newSpace makes the locks of a directory. Tests replace it in Options.
type newSpace func(*localdir.Dir) filelock.Space

// localPath returns the directory of the ledger with the given ID.
func (l *Ledger) localPath(id wire.UUID) string {
	return filepath.Join(l.opt.LocalBase, "shared", uuid.UUID(id).String())
}

// openLocal returns the local directory, and creates it if it is missing and create is set.
// Without create, it returns nil for a missing one. It asks the server which ledger is at the
// URL only if this host has not learned it yet.
func (l *Ledger) openLocal(ctx context.Context, create bool) (*local, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.local != nil {
		return l.local, nil
	}
	id, err := l.knownID()
	if err != nil {
		return nil, l.explain(err)
	}
	if id == (wire.UUID{}) {
		if !create {
			return nil, nil
		}
		m, err := l.readMeta(ctx)
		if err != nil {
			return nil, err
		}
		id = m.ledger
	}
	found, err := l.openSite(id, create)
	if err == nil && create {
		err = l.learnID(id)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	l.local = found
	return found, nil
}

func (l *Ledger) openSite(id wire.UUID, create bool) (*local, error) {
	dir, exists, err := localdir.Find(l.localPath(id), l.opt.TrustPlace)
	if err != nil || !exists && !create {
		return nil, err
	}
	s := &local{dir: dir, locks: l.space()(dir)}
	needed := []string{siteFile}
	if create {
		needed = append(needed, subdirectories...)
	}
	made := false
	if exists {
		if made, err = s.has(needed); err != nil {
			return nil, err
		}
	}
	if !made {
		if !create {
			return nil, nil
		}
		if err := s.make(); err != nil {
			return nil, err
		}
	}
	if err := dir.CheckFS(); err != nil {
		return nil, err
	}
	if err := s.identify(); err != nil {
		return nil, err
	}
	return s, nil
}

func (l *Ledger) space() newSpace {
	if l.opt.space != nil {
		return l.opt.space
	}
	return filelock.New
}

const siteFile = "site"

var subdirectories = []string{"output", pendingDir}

// has reports whether the directory has its locks and the named files.
func (s *local) has(names []string) (bool, error) {
	if locks, err := s.locks.Exists(); !locks || err != nil {
		return false, err
	}
	for _, name := range names {
		if _, err := s.dir.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// make creates the files of the directory that are missing. New locks and a new site come
// together: for a directory without one of them, its own rows are those of another host, which
// count until their leases end. The kernel's locks are those of before, if they are there.
func (s *local) make() error {
	if err := s.dir.Make(); err != nil {
		return err
	}
	unlock, err := filelock.Init(s.dir, os.O_CREATE)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.dir.Write("README", localReadme); err != nil {
		return err
	}
	for _, sub := range subdirectories {
		if err := s.dir.Mkdir(sub); err != nil {
			return err
		}
	}
	if made, err := s.has([]string{siteFile}); made || err != nil {
		return err
	}
	var site [16]byte
	_, _ = rand.Read(site[:]) // never fails
	if err := writeFile(s.dir, siteFile, hex.EncodeToString(site[:])); err != nil {
		return err
	}
	if locked, err := s.locks.Exists(); err != nil {
		return err
	} else if !locked {
		if err := s.locks.Create(nil); err != nil {
			return err
		}
	}
	return s.dir.Sync(".")
}

// identify sets the site. It depends on the file, on the identity of the locks and on the boot of
// the kernel. Locks of a copied directory, or from before a reboot, are other locks.
func (s *local) identify() error {
	content, err := readFile(s.dir, siteFile)
	if err != nil {
		return err
	}
	where, err := s.dir.Stat("locks")
	if errors.Is(err, fs.ErrNotExist) {
		where, err = s.dir.Stat("locks.d")
	}
	if err != nil {
		return err
	}
	boot, _ := bootid.Read() // without one, the site is that of all boots
	sum := sha256.Sum256(lenprefix.Append(nil, content, boot, fmt.Sprint(where.Device, where.Inode)))
	copy(s.site[:], sum[:])
	return nil
}

// placeFile is the name of the file that says which ledger is at the URL.
func (l *Ledger) placeFile() string {
	sum := sha256.Sum256(lenprefix.Append(nil, l.cfg.Canonical, l.cfg.Schema))
	return hex.EncodeToString(sum[:16])
}

func (l *Ledger) placesDir() string { return filepath.Join(l.opt.LocalBase, "shared", "places") }

// knownID returns the ID of the ledger that this host has used at the URL, or zero.
func (l *Ledger) knownID() (wire.UUID, error) {
	dir, exists, err := localdir.Find(l.placesDir(), l.opt.TrustPlace)
	if err != nil || !exists {
		return wire.UUID{}, err
	}
	defer dir.Close()
	text, err := readFile(dir, l.placeFile())
	if errors.Is(err, fs.ErrNotExist) {
		return wire.UUID{}, nil
	}
	if err != nil {
		return wire.UUID{}, err
	}
	id, err := uuid.Parse(strings.TrimSpace(text))
	if err != nil {
		return wire.UUID{}, fmt.Errorf("%w: %s", ledger.ErrCorrupt, dir.File(l.placeFile()))
	}
	return wire.UUID(id), nil
}

// learnID stores the ID of the ledger at the URL, durably, unless it is stored.
func (l *Ledger) learnID(id wire.UUID) error {
	if known, err := l.knownID(); err != nil || known == id {
		return err
	}
	dir, _, err := localdir.Find(l.placesDir(), l.opt.TrustPlace)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Make(); err != nil {
		return err
	}
	return writeFile(dir, l.placeFile(), uuid.UUID(id).String())
}

// writeFile replaces a file durably.
func writeFile(dir *localdir.Dir, name, content string) error {
	temporary := name + ".new-" + uuid.NewString()
	f, err := dir.Create(temporary, os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = dir.Rename(temporary, name)
	}
	if err != nil {
		_ = dir.Remove(temporary)
		return err
	}
	return dir.Sync(".")
}

func readFile(dir *localdir.Dir, name string) (string, error) {
	f, err := dir.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}
