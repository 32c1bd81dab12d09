package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// CheckOptions are the options of Check.
type CheckOptions struct {
	Trust bool // see Options
	// Quick leaves out the rows and the outputs, and examines the structure of the
	// database less thoroughly. It takes 0.2 s for 100,000 records.
	Quick bool
}

// Check examines the ledger in dir. It changes nothing and takes no lock, so other calls go
// on. SQLite may create the -shm and an empty -wal, as for each call that reads.
//
// A line with a fault that a person can mend has the error in Err. An error means that
// Check could not look: the place is not safe, there is no ledger (ledger.ErrMissing), or it
// cannot be opened at all.
//
// The database stays open until the process ends. Closing the last connection of a damaged
// one would change its files, see Ledger.connect.
func Check(ctx context.Context, dir string, o CheckOptions) (ledger.Report, error) {
	at, exists, err := localdir.Find(dir, o.Trust)
	c := &checker{ledger: &Ledger{dir: at, scripts: migrations}, quick: o.Quick}
	if err == nil && !exists {
		err = ledger.ErrMissing
	}
	if err != nil {
		return c.Report, c.ledger.explain(err)
	}
	c.ledger.locks = filelock.New(at)
	for _, look := range []func(context.Context) error{c.place, c.open, c.structure, c.changes, c.rows, c.mutexes, c.receipts, c.unchanged} {
		if err := look(ctx); err != nil {
			return c.Report, c.ledger.explain(err)
		}
	}
	return c.Report, nil
}

// checker collects the lines of Check.
type checker struct {
	ledger.Report
	ledger *Ledger
	quick  bool
	files  outputFiles
	before os.FileInfo // ledger.db, if it was frozen
}

func (c *checker) db() *database { return c.ledger.db }

// fault adds a line about an error that makes idem refuse calls. format and args describe
// it; without them, the error does.
func (c *checker) fault(name string, err error, format string, args ...any) {
	if format == "" {
		format, args = "%s", []any{faultText(err)}
	}
	c.Add(ledger.LevelFault, name, format, args...).Err = err
}

// place looks at the files of the ledger, without opening one.
func (c *checker) place(context.Context) error {
	l := c.ledger
	locks, err := l.locks.Exists()
	if err != nil {
		return err
	}
	info, err := l.dir.Lookup("ledger.db")
	if err == nil && (info == nil || !locks) {
		err = away(l.dir)
	}
	switch {
	case err != nil:
		return err
	case info == nil && !locks:
		return ledger.ErrMissing
	case info == nil:
		return l.dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is gone")
	case info.Size() == 0 && locks:
		return l.dir.Damage(ledger.FaultNoDatabase, "ledger.db", "ledger.db is empty")
	case info.Size() == 0: // its creation was cut off, and the next call repeats it
		return ledger.ErrMissing
	}
	if err := l.dir.CheckFS(); err != nil {
		return err
	}
	l.dir.Pin("ledger.db", localdir.IdentityOf(info))
	c.Add(ledger.LevelOK, "place", "%s belongs to this user and is closed to other users", l.dir.Path())
	if !locks {
		c.fault("locks", l.locks.Gone(), "")
	}
	if _, err := l.dir.Secret(); err != nil && !errors.Is(err, os.ErrNotExist) {
		c.fault("secret", err, "the secret cannot be read, so calls with --hash-env are refused (69): %v", err)
	}
	for _, name := range []string{"ledger.db-wal", "ledger.db-shm"} {
		if _, err := l.dir.Lookup(name); err != nil {
			c.fault("files", err, "")
		}
	}
	return nil
}

// open opens ledger.db for reading, and looks at its version.
func (c *checker) open(ctx context.Context) error {
	l := c.ledger
	frozen, err := c.isFrozen()
	if err != nil {
		return err
	}
	db, err := l.connectAs(&connector{ledger: l, looks: true, frozen: frozen})
	if err == nil {
		err = l.dir.Check("ledger.db")
	}
	if err != nil {
		return err
	}
	version, err := l.version(db)
	if err != nil {
		return err
	}
	l.db = &database{DB: db}
	if version < len(l.scripts) {
		c.quick = true
		c.Add(ledger.LevelWarning, "format", "version %d; its records are checked after the first call that opens it has made it version %d", version, len(l.scripts))
		return nil
	}
	var driver string
	if err := c.db().QueryRowContext(ctx, "select sqlite_version()").Scan(&driver); err != nil {
		return err
	}
	c.Add(ledger.LevelOK, "format", "version %d, for SQLite %s", version, driver)
	wal, err := l.dir.Lookup(walName)
	if err == nil && wal != nil && wal.Size() > longLog {
		c.Add(ledger.LevelWarning, "log", "%s has %d bytes: a process may have read the ledger for long", walName, wal.Size())
	}
	return err
}

// longLog is the size of a -wal in bytes that is unusual: a writer restarts it at a few MiB.
const longLog = 64 << 20

// isFrozen reports whether the ledger is on a read-only file system and was closed cleanly.
// SQLite then has no place for the files that readers share, and needs none: unchanged checks
// that no process has written to the ledger by another path.
func (c *checker) isFrozen() (bool, error) {
	wal, err := c.ledger.dir.Lookup(walName)
	if err != nil || wal != nil || !errors.Is(unix.Access(c.ledger.dir.Path(), unix.W_OK), unix.EROFS) {
		return false, err
	}
	c.before, err = c.ledger.dir.Lookup("ledger.db")
	return true, err
}

// unchanged returns an error if a process has written to a ledger that was frozen.
func (c *checker) unchanged(context.Context) error {
	if c.before == nil {
		return nil
	}
	now, err := c.ledger.dir.Lookup("ledger.db")
	if err != nil {
		return err
	}
	wal, err := c.ledger.dir.Lookup(walName)
	if err == nil && (wal != nil || now == nil || !now.ModTime().Equal(c.before.ModTime()) || now.Size() != c.before.Size()) {
		err = errors.New("another process has changed it by a path that is not read-only, so the check says nothing")
	}
	return err
}

// mostMessages is the number of messages of SQLite that are shown.
const mostMessages = 20

// structure lets SQLite examine the structure of the database and, unless quick is set, its
// indexes.
func (c *checker) structure(ctx context.Context) error {
	pragma := "integrity_check"
	if c.quick {
		pragma = "quick_check"
	}
	var messages []string
	err := each(ctx, c.db(), func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		messages = append(messages, strings.TrimSpace(text))
		return err
	}, fmt.Sprintf("pragma %s(%d)", pragma, mostMessages))
	if err != nil {
		if err = c.ledger.classify(err); !errors.Is(err, ledger.ErrCorrupt) {
			return err
		}
		c.fault("database", err, "SQLite cannot read it: %v", err)
		return nil
	}
	if len(messages) == 1 && messages[0] == "ok" {
		c.Add(ledger.LevelOK, "database", "SQLite finds no damage (%s)", strings.ReplaceAll(pragma, "_", " "))
		return nil
	}
	for _, m := range messages {
		c.fault("database", ledger.ErrCorrupt, "SQLite finds damage: %s", m)
	}
	return nil
}

// changes compares the number of commits with the witness. The witness is read first, and the
// number of commits only grows.
func (c *checker) changes(ctx context.Context) error {
	n, err := c.commits(ctx)
	switch fault := (*ledger.Fault)(nil); {
	case errors.As(err, &fault) && fault.Kind == ledger.FaultNoLocks: // files has said so
	case err != nil && errors.Is(c.ledger.classify(err), ledger.ErrCorrupt):
		c.fault("changes", c.ledger.classify(err), "")
	case err != nil:
		return err
	default:
		c.Add(ledger.LevelOK, "changes", "%d, none is missing", n)
	}
	return nil
}

// commits returns the number of commits, or the fault of a ledger that has lost some.
func (c *checker) commits(ctx context.Context) (n int64, err error) {
	t, witnessed, err := c.ledger.readWitness()
	if err == nil {
		n, err = commitsOf(ctx, c.db())
	}
	if err == nil {
		err = t.lost(witnessed, n)
	}
	return n, err
}

// mutexes reads all rows of mutexes.
func (c *checker) mutexes(ctx context.Context) error {
	_, err := c.ledger.readMutexes(ctx, c.db(), mutexColumns)
	if fault := (*ledger.Fault)(nil); errors.As(err, &fault) {
		c.fault("mutexes", err, "")
		return nil
	}
	if err = c.ledger.classify(err); errors.Is(err, ledger.ErrCorrupt) {
		c.fault("mutexes", err, "the mutexes cannot be read: %v", err)
		return nil
	}
	return err
}
