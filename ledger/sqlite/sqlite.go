// Package sqlite is the embedded ledger: records in SQLite, output of larger
// runs in files beside it, and claims as kernel locks. It serves the processes
// of one host.
//
// What makes it safe is written down in docs/ARCHITECTURE.md; the pragmas and
// the order of creation (make.go) are part of it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"idem/ledger"
)

const (
	applicationID = 0x6964656d // "idem"
	schemaVersion = 1
)

// reading is set on every connection. cell_size_check finds some damage where
// it is read rather than later.
var reading = fmt.Sprintf("pragma busy_timeout=%d; pragma cell_size_check=on;", lockTimeout.Milliseconds())

// writing is set before the first write. FULL makes every commit durable, on
// macOS only with the two fullfsync. Every process that opens a ledger reads
// its whole -wal first, so that it is kept far shorter than by default.
var writing = "pragma synchronous=" + synchronous + `; pragma fullfsync=on; pragma checkpoint_fullfsync=on;
	pragma wal_autocheckpoint=40; pragma journal_size_limit=1048576; pragma secure_delete=on;`

// Ledger is a handle on the ledger in one directory.
type Ledger struct {
	dir   string
	locks lockSpace
	now   func() time.Time

	// recent is the settled attempt that Get returned last: a replay asks for
	// its output next.
	recent atomic.Pointer[attemptRow]

	mu       sync.Mutex  // guards what follows, and makes writers of this handle take turns
	db       *database   // nil until there is a ledger
	file     os.FileInfo // ledger.db as it was opened
	wal      os.FileInfo // ledger.db-wal as it was after the first commit
	writable bool        // writing has been set
}

// Open returns a handle on the ledger in dir. It makes nothing: a ledger that
// does not exist reads as an empty one and is made by the first Claim.
func Open(dir string) (*Ledger, error) { return open(dir, newLocks) }

// open is Open with a choice of the locks.
func open(dir string, locks func(dir string) lockSpace) (*Ledger, error) {
	l := &Ledger{dir: dir, now: time.Now}
	resolved, exists, err := safePlace(dir)
	if err != nil {
		return nil, l.explain(err)
	}
	l.dir = resolved
	l.locks = locks(resolved)
	if exists {
		if err := l.open(false); err != nil && !errors.Is(err, ledger.ErrMissing) {
			return nil, l.explain(err)
		}
	}
	return l, nil
}

// Dir returns the ledger's directory, without symbolic links.
func (l *Ledger) Dir() string { return l.dir }

// Close closes the database. Claims stay as they are.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil {
		return nil
	}
	err := l.db.Close()
	l.db = nil
	return l.explain(err)
}

func (l *Ledger) path(name string) string { return filepath.Join(l.dir, name) }

// open opens a ledger that exists, without a lock (the caller may have init.lock)
// and without writing.
func (l *Ledger) open(locked bool) error {
	// locks is made last, so that ledger.db was there before it.
	locks, err := l.locks.exists()
	if err != nil {
		return err
	}
	db, err := isOurFile(l.path("ledger.db"))
	if err != nil {
		return err
	}
	if !db && !locks {
		return ledger.ErrMissing
	}
	if err := checkFS(l.dir); err != nil {
		return err
	}
	if !db {
		return fmt.Errorf("%w: ledger.db is gone, but locks is there", ledger.ErrCorrupt)
	}
	if !locks {
		err := l.unfinished(locked)
		if made, e := l.locks.exists(); !made || e != nil {
			return errors.Join(err, e)
		} // else it was finished, and used, while we looked
	}
	found, err := l.connect()
	if err != nil {
		return err
	}
	l.db = &database{DB: found}
	l.file, err = os.Lstat(l.path("ledger.db"))
	return err
}

// openLater is open for a handle that has found no ledger so far: who has made one
// since may be somebody else.
func (l *Ledger) openLater() error {
	_, exists, err := safePlace(l.dir)
	if err != nil {
		return err
	}
	if !exists {
		return ledger.ErrMissing
	}
	return l.open(false)
}

// checkFiles makes sure that the ledger's names still lead to the database that
// is open: not to a backup that somebody has put in its place meanwhile.
func (l *Ledger) checkFiles() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, opened := range map[string]os.FileInfo{"ledger.db": l.file, "ledger.db-wal": l.wal} {
		if opened == nil {
			continue
		}
		now, err := os.Lstat(l.path(name))
		if err != nil || !os.SameFile(opened, now) {
			return fmt.Errorf("%w: %s was removed or replaced meanwhile", ledger.ErrCorrupt, name)
		}
	}
	return nil
}

// unfinished tells a ledger that is being made, which reads as a missing one,
// from one of which the locks are gone. Who looks takes turns with the maker and
// with others who look: what a cut has left of a database may have to be rolled
// back, and SQLite refuses at once whoever comes to that second.
func (l *Ledger) unfinished(locked bool) error {
	if !locked {
		unlock, err := l.lockInit(0)
		if errors.Is(err, errLocked) {
			return err
		}
		if err == nil { // else nobody can make it, or init.lock is gone as well
			defer unlock()
		}
		if made, err := l.locks.exists(); made || err != nil {
			return err
		}
	}
	db, err := l.connectRaw()
	if err != nil {
		return err
	}
	if _, err := hasSchema(db); err != nil {
		return err // and do not close: see connect
	}
	db.Close()
	return ledger.ErrMissing
}

// connect opens ledger.db and makes sure that it is ours. If it is not, it stays
// open until the process ends: closing the last connection writes the -wal into
// the database and removes it, and what is refused is left as it was.
func (l *Ledger) connect() (*sql.DB, error) {
	// SQLite removes the -wal of an empty database as soon as it looks.
	if info, err := os.Lstat(l.path("ledger.db")); err != nil || info.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%w: ledger.db is empty", ledger.ErrCorrupt), err)
	}
	db, err := l.connectRaw()
	if err != nil {
		return nil, err
	}
	return db, checkVersion(db)
}

func (l *Ledger) connectRaw() (*sql.DB, error) {
	// mode=rw: SQLite must never make the file. A file that can only be read
	// is opened for reading.
	place := url.URL{Scheme: "file", Path: l.path("ledger.db"), RawQuery: "mode=rw&_txlock=immediate"}
	db, err := sql.Open("sqlite", place.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // the pragmas belong to a connection
	if _, err := db.Exec(reading); err != nil {
		return nil, err // and do not close: see connect
	}
	return db, nil
}

func checkVersion(db *sql.DB) error {
	var app, version int64
	if err := db.QueryRow("pragma application_id").Scan(&app); err != nil {
		return err
	}
	if err := db.QueryRow("pragma user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case app == 0 && version == 0:
		// Ours get their tables and their version in one transaction.
		var tables int
		if err := db.QueryRow("select count(*) from sqlite_schema").Scan(&tables); err != nil {
			return err
		}
		if tables > 0 {
			return fmt.Errorf("%w: ledger.db belongs to another program", ledger.ErrForeign)
		}
		return fmt.Errorf("%w: ledger.db was never finished", ledger.ErrCorrupt)
	case app != applicationID:
		return fmt.Errorf("%w: ledger.db belongs to another program", ledger.ErrForeign)
	case version > schemaVersion:
		return fmt.Errorf("%w: its version is %d, this idem knows %d", ledger.ErrVersion, version, schemaVersion)
	}
	return nil
}

// writer returns the database ready for writing, and makes the ledger when
// there is none. The caller holds l.mu.
func (l *Ledger) writer(ctx context.Context) (*database, error) {
	if l.db == nil {
		if err := l.make(); err != nil {
			return nil, err
		}
	}
	if !l.writable {
		if _, err := l.db.ExecContext(ctx, writing); err != nil {
			return nil, err
		}
		l.writable = true
	}
	return l.db, nil
}
