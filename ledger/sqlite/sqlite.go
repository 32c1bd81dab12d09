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
	"os"
	"sync"
	"sync/atomic"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

const applicationID = 0x6964656d // "idem"

// reading is set on every connection. cell_size_check finds some damage where
// it is read rather than later.
var reading = fmt.Sprintf("pragma busy_timeout=%d; pragma cell_size_check=on;", filelock.Timeout.Milliseconds())

// writing is set before the first write. FULL makes every commit durable, on
// macOS only with the two fullfsync. Every process that opens a ledger reads
// its whole -wal first, so that it is kept far shorter than by default.
var writing = "pragma synchronous=" + synchronous + `; pragma fullfsync=on; pragma checkpoint_fullfsync=on;
	pragma wal_autocheckpoint=40; pragma journal_size_limit=1048576; pragma secure_delete=on;`

// Ledger is a handle on the ledger in one directory.
type Ledger struct {
	dir   *localdir.Dir
	locks filelock.Space
	now   func() time.Time

	scripts []string // migrations, but in tests

	// recent is the settled attempt that Get returned last: a replay asks for
	// its output next.
	recent atomic.Pointer[attemptRow]

	writable atomic.Bool // writing has been set

	mu sync.Mutex // guards what follows, and makes writers of this handle take turns
	db *database  // nil until there is a ledger
}

// Options are how a ledger is opened.
type Options struct {
	// Trust accepts directories above the ledger's that other users can write
	// to. Such a user can put another ledger in the place of this one.
	Trust bool

	scripts []string // in place of migrations, for tests
}

// Open returns a handle on the ledger in dir. It makes nothing: a ledger that
// does not exist reads as an empty one and is made by the first Claim.
func Open(dir string) (*Ledger, error) { return Options{}.Open(dir) }

// Open is Open with options.
func (o Options) Open(dir string) (*Ledger, error) { return o.open(dir, filelock.New) }

// open is Open with a choice of the locks.
func (o Options) open(dir string, locks func(*localdir.Dir) filelock.Space) (*Ledger, error) {
	at, exists, err := localdir.Find(dir, o.Trust)
	l := &Ledger{dir: at, now: time.Now, scripts: o.scripts}
	if l.scripts == nil {
		l.scripts = migrations
	}
	if err != nil {
		return nil, l.explain(err)
	}
	l.locks = locks(l.dir)
	if exists {
		if err := l.open(false); err != nil && !errors.Is(err, ledger.ErrMissing) {
			return nil, l.explain(err)
		}
	}
	return l, nil
}

// Place implements ledger.Store: it is the directory, without symbolic links.
func (l *Ledger) Place() string { return l.dir.Path() }

// Close closes the database. Claims stay as they are. A database that is no
// longer at its place stays open until the process ends: SQLite removes the -wal
// when the last connection is closed, by path.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db := l.db
	l.db = nil
	defer l.dir.Close()
	if db == nil || l.dir.Check("ledger.db") != nil {
		return nil
	}
	return l.explain(db.Close())
}

// open opens a ledger that exists, without a lock (locked: the caller has
// init.lock) and without writing, unless the ledger has to be migrated.
func (l *Ledger) open(locked bool) error {
	// locks is made last, so that ledger.db was there before it.
	locks, err := l.locks.Exists()
	if err != nil {
		return err
	}
	info, err := l.dir.Lookup("ledger.db")
	if err != nil {
		return err
	}
	if info == nil && !locks {
		return ledger.ErrMissing
	}
	if err := l.dir.CheckFS(); err != nil {
		return err
	}
	switch {
	case info == nil:
		return l.dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is gone")
	case info.Size() == 0 && locks: // SQLite removes the -wal of an empty database as soon as it looks
		return l.dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is empty")
	}
	if !locks {
		err := l.unfinished(locked)
		if made, e := l.locks.Exists(); !made || e != nil {
			return errors.Join(err, e)
		} // else it was finished, and used, while we looked
	}
	err = l.connectTo(info, locked)
	if fault := (*ledger.Fault)(nil); errors.As(err, &fault) && fault.Kind == ledger.FaultReplaced {
		// Replaced just now, or copied by a file system in layers because SQLite
		// has opened it for writing.
		again, e := l.dir.Lookup("ledger.db")
		if e == nil && again != nil {
			err = l.connectTo(again, locked)
		}
	}
	return err
}

// connectTo opens the ledger.db that info is about, and migrates an older one.
func (l *Ledger) connectTo(info os.FileInfo, locked bool) error {
	l.dir.Pin("ledger.db", localdir.IdentityOf(info))
	db, version, err := l.connect()
	if err == nil { // SQLite has opened all its files by now, by path
		err = l.dir.Check("ledger.db")
	}
	if err == nil && version < len(l.scripts) {
		err = l.upgrade(db, version, locked)
	}
	if err == nil {
		l.db = &database{DB: db}
	}
	return err
}

// openLater is open for a handle that has found no ledger so far: who has made one
// since may be somebody else.
func (l *Ledger) openLater() error {
	exists, err := l.dir.Exists()
	if err != nil {
		return err
	}
	if !exists {
		return ledger.ErrMissing
	}
	return l.open(false)
}

// unfinished tells a ledger that is being made, which reads as a missing one,
// from one of which the locks are gone. Who looks takes turns with the maker and
// with others who look: what a cut has left of a database may have to be rolled
// back, and SQLite refuses at once whoever comes to that second.
func (l *Ledger) unfinished(locked bool) error {
	if !locked {
		unlock, err := filelock.Init(l.dir, 0)
		if errors.Is(err, filelock.ErrTimeout) {
			return err
		}
		if err == nil { // else nobody can make it, or init.lock is gone as well
			defer unlock()
		}
		if made, err := l.locks.Exists(); made || err != nil {
			return err
		}
	}
	db, err := l.connectRaw()
	if err != nil {
		return err
	}
	if _, err := l.schemaOf(db); err != nil {
		return err // and do not close: see connect
	}
	db.Close()
	return ledger.ErrMissing
}

// connect opens ledger.db and makes sure that it is a ledger's. If it is not, it stays
// open until the process ends: closing the last connection writes the -wal into
// the database and removes it, and what is refused is left as it was.
func (l *Ledger) connect() (db *sql.DB, version int, err error) {
	if db, err = l.connectRaw(); err != nil {
		return nil, 0, err
	}
	version, err = l.version(db)
	return db, version, err
}

// writer returns the database ready for writing, and makes the ledger when
// there is none. The caller holds l.mu.
func (l *Ledger) writer(ctx context.Context) (*database, error) {
	if l.db == nil {
		if err := l.make(); err != nil {
			return nil, err
		}
	}
	if !l.writable.Load() {
		if err := l.dir.Verify(); err != nil {
			return nil, err
		}
		if _, err := l.db.ExecContext(ctx, writing); err != nil {
			return nil, err
		}
		l.writable.Store(true)
	}
	return l.db, nil
}
