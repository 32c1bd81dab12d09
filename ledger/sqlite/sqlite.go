// Package sqlite is the embedded ledger. It stores records in SQLite and large outputs in
// files next to it. Claims are kernel locks. It serves the processes of one host.
//
// docs/ARCHITECTURE.md describes why it is safe. The pragmas and the order of creation
// (make.go) are part of that.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"idem/internal/combine"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

const applicationID = 0x6964656d // "idem"

// Found reports whether a directory seems to have a ledger. It opens no file.
func Found(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "ledger.db"))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// readPragmas returns the pragmas of every connection. cell_size_check detects some damage
// where it is read, not later.
func readPragmas() string {
	return "pragma busy_timeout=" + strconv.FormatInt(filelock.Timeout.Milliseconds(), 10) + "; pragma cell_size_check=on;"
}

// Ledger is a handle on the ledger in one directory.
type Ledger struct {
	dir   *localdir.Dir
	trust bool // see Options
	locks filelock.Space
	now   func() time.Time

	asIs    bool     // see Options.Look
	scripts []string // migrations, except in tests

	// recent is the settled attempt that Get returned last. A replay reads its output
	// next.
	recent atomic.Pointer[recentAttempt]

	executing atomic.Int32 // executions that have begun and are not finished
	unseen    atomic.Bool  // the latest record that a claim has read was missing, see readUnseen
	writable  atomic.Bool  // writePragmas has been executed

	changes   *combine.Combiner[*change]
	spools    *combine.Combiner[*spoolSync]
	sustained atomic.Int32                       // batches that run, see Sustain
	unstarted atomic.Pointer[filelock.Unstarted] // nil while no batch runs
	reader    atomic.Pointer[database]           // see openReader

	mu     sync.Mutex // guards the fields below, and makes writers of this handle take turns
	db     *database  // nil until it is needed and there is a ledger
	wanted []string   // see transaction

	receipts receipts
}

// Options are the options of Open.
type Options struct {
	// Trust accepts directories above the ledger that other users can write to. Such a
	// user can replace the ledger by another one.
	Trust bool
	// Look never migrates: the ledger of an earlier version reads as an empty one.
	Look bool

	scripts []string // replaces migrations in tests
}

// Open returns a handle on the ledger in dir. It creates nothing. A ledger that does not
// exist reads as an empty one, and the first Claim creates it.
func Open(dir string) (*Ledger, error) { return Options{}.Open(dir) }

// Open is the function Open with options.
func (o Options) Open(dir string) (*Ledger, error) { return o.open(dir, filelock.New) }

// open is Open with a choice of locks.
func (o Options) open(dir string, locks func(*localdir.Dir) filelock.Space) (*Ledger, error) {
	at, exists, err := localdir.Find(dir, o.Trust)
	l := &Ledger{dir: at, trust: o.Trust, now: time.Now, asIs: o.Look, scripts: o.scripts}
	if l.scripts == nil {
		l.scripts = migrations
	}
	l.changes, l.spools = combine.New(l.commitGroup), combine.New(l.syncGroup)
	if err != nil {
		return nil, l.explain(err)
	}
	l.locks = locks(l.dir)
	l.receipts = receipts{dir: at, version: len(l.scripts)}
	if exists && !l.hasReceipts() {
		if err := l.open(false); err != nil && !errors.Is(err, ledger.ErrMissing) {
			return nil, l.explain(err)
		}
	}
	return l, nil
}

// Place implements ledger.Store. It returns the directory, without symbolic links.
func (l *Ledger) Place() string { return l.dir.Path() }

// Close implements ledger.Ledger. A database that is no longer at its path stays open until
// the process ends. When its last connection is closed, SQLite removes the -wal by path,
// which could be that of another ledger.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, reader := l.db, l.reader.Swap(nil)
	l.db = nil
	l.receipts.close()
	defer l.dir.Close()
	if db == nil || l.dir.Check("ledger.db") != nil {
		return nil
	}
	if reader != nil {
		_ = reader.Close()
	}
	return l.explain(db.Close())
}

// hasReceipts reports whether the ledger is whole, as far as its files show, and has receipts. The
// database is then opened when it is needed.
func (l *Ledger) hasReceipts() bool {
	info, locks, err := l.lookup()
	if err != nil || info == nil || info.Size() == 0 || info.Mode()&0o400 == 0 || !locks || l.dir.CheckFS() != nil {
		return false
	}
	l.dir.Pin("ledger.db", localdir.IdentityOf(info))
	f, ok := l.openReceipts()
	if ok {
		f.Close()
	}
	return ok
}

// lookup looks for the files of a ledger. info is that of ledger.db, or nil.
func (l *Ledger) lookup() (info os.FileInfo, locks bool, err error) {
	// Look for locks first. It is created last, so if it exists, ledger.db must exist.
	if locks, err = l.locks.Exists(); err != nil {
		return nil, false, err
	}
	info, err = l.dir.Lookup("ledger.db")
	return info, locks, err
}

// open opens a ledger that exists. It writes nothing and takes no lock, unless the ledger
// is unfinished or has to be migrated. locked reports whether the caller holds init.lock.
// The error is ledger.ErrMissing when there is no ledger.
func (l *Ledger) open(locked bool) error {
	info, locks, err := l.lookup()
	if err != nil {
		return err
	}
	if info == nil || !locks {
		if err := away(l.dir); err != nil {
			return err
		}
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
	case info.Size() == 0 && locks: // do not open it: SQLite would remove the -wal of an empty database
		return l.dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is empty")
	}
	if !locks {
		err := l.unfinished(locked)
		if made, e := l.locks.Exists(); !made || e != nil {
			return errors.Join(err, e)
		} // else another process has completed it since the first look
	}
	err = l.connectTo(info, locked)
	if fault := (*ledger.Fault)(nil); errors.As(err, &fault) && fault.Kind == ledger.FaultReplaced {
		// Another process has just replaced ledger.db, or a layered file system has
		// copied it because SQLite opened it for writing.
		again, e := l.dir.Lookup("ledger.db")
		if e == nil && again != nil {
			err = l.connectTo(again, locked)
		}
	}
	return err
}

// connectTo opens the ledger.db that info describes, and migrates an older one.
func (l *Ledger) connectTo(info os.FileInfo, locked bool) error {
	l.dir.Pin("ledger.db", localdir.IdentityOf(info))
	db, version, err := l.connect()
	if err == nil { // SQLite has opened all its files by now; it opens them by path
		err = l.dir.Check("ledger.db")
	}
	if err == nil && version < len(l.scripts) && l.asIs {
		return ledger.ErrMissing // leave it open, see connect
	}
	if err == nil && version < len(l.scripts) {
		err = l.upgrade(db, version, locked)
	}
	if err == nil {
		l.db = &database{DB: db}
	}
	return err
}

// openLater is open for a handle that has not opened the ledger so far. If it has found no ledger, it
// checks the path again, because another user may have created a ledger there since.
func (l *Ledger) openLater() error {
	if _, found := l.dir.Pinned("ledger.db"); found {
		if err := l.dir.Check("ledger.db"); err != nil {
			return err
		}
	} else if exists, err := l.dir.Exists(); err != nil {
		return err
	} else if !exists {
		return ledger.ErrMissing
	}
	return l.open(false)
}

// unfinished examines a ledger without locks. It returns ledger.ErrMissing for one that is
// still being created, and a fault for one whose lock file was deleted. It returns nil if
// the ledger has been completed since.
//
// It holds init.lock. SQLite may have to roll back a half-made database after a crash, and
// rejects a second process that tries at the same time.
func (l *Ledger) unfinished(locked bool) error {
	if !locked {
		unlock, err := filelock.Init(l.dir, 0)
		if errors.Is(err, filelock.ErrTimeout) {
			return err
		}
		if err == nil { // else no process can create the ledger, or init.lock is missing too
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
		return err // leave it open, see connect
	}
	db.Close()
	return ledger.ErrMissing
}

// connect opens ledger.db and returns its version. A database that is refused stays open
// until the process ends, because its files must not change. Closing the last connection
// would write the -wal into the database and remove it.
func (l *Ledger) connect() (db *sql.DB, version int, err error) {
	if db, err = l.connectRaw(); err != nil {
		return nil, 0, err
	}
	version, err = l.version(db)
	return db, version, err
}

// writer returns the database ready for writing, and creates the ledger when there is none.
// The caller holds l.mu.
func (l *Ledger) writer(ctx context.Context) (*database, error) {
	if l.db == nil {
		err := l.openLater()
		if errors.Is(err, ledger.ErrMissing) {
			err = l.make()
		}
		if err != nil {
			return nil, err
		}
	}
	if !l.writable.Load() {
		if err := l.dir.Verify(); err != nil {
			return nil, err
		}
		if _, err := l.db.ExecContext(ctx, l.settings()); err != nil {
			return nil, err
		}
		l.writable.Store(true)
		if l.sustained.Load() > 0 {
			l.openReader()
		}
	}
	return l.db, nil
}
