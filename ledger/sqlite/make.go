package sqlite

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
)

//go:embed schema.sql
var schema string

// make makes the ledger. One process at a time does so, under init.lock; the
// others find it made. locks is created last and says that all else is there,
// so that a crash on the way leaves something that is made again, while a
// ledger.db that is emptied or removed later is damage.
func (l *Ledger) make() error {
	if _, _, err := safePlace(l.dir); err != nil {
		return err
	}
	if err := checkFS(nearest(l.dir)); err != nil {
		return err
	}
	if err := makeDir(l.dir); err != nil {
		return err
	}
	failpoint.Here("make.dir")
	if _, _, err := safePlace(l.dir); err != nil { // somebody may have been faster
		return err
	}
	unlock, err := l.lockInit(os.O_CREATE)
	if err != nil {
		return err
	}
	defer unlock()
	failpoint.Here("make.locked")
	if err := l.open(true); !errors.Is(err, ledger.ErrMissing) {
		return err
	}
	if err := l.create(); err != nil {
		return err
	}
	failpoint.Here("make.closed")
	return l.open(true)
}

// lockInit keeps other processes from making parts of the ledger meanwhile. flag
// is os.O_CREATE to make init.lock if it is not there.
func (l *Ledger) lockInit(flag int) (unlock func(), err error) {
	f, err := os.OpenFile(l.path("init.lock"), flag|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	unlock = func() { f.Close() }
	if err := inTime(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }, unlock); err != nil {
		return nil, err
	}
	return unlock, nil
}

func (l *Ledger) create() error {
	if err := errors.Join(f600(l.path("init.lock")), writeFile(l.path("README"), readme)); err != nil {
		return err
	}
	failpoint.Here("make.readme")
	if err := makeDir(l.path("output")); err != nil {
		return err
	}
	failpoint.Here("make.output")
	// Made by us, because SQLite gives its mode to the -wal and -shm.
	if err := writeFile(l.path("ledger.db"), ""); err != nil {
		return err
	}
	failpoint.Here("make.empty")
	db, err := l.connectRaw()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := createSchema(db); err != nil {
		return err
	}
	failpoint.Here("make.tables")
	if err := l.locks.create(); err != nil {
		return err
	}
	failpoint.Here("make.locks")
	if err := syncDir(l.dir); err != nil {
		return err
	}
	failpoint.Here("make.synced")
	return nil
}

func createSchema(db *sql.DB) error {
	if done, err := hasSchema(db); done || err != nil {
		return err
	}
	var mode string
	if err := db.QueryRow("pragma journal_mode=wal").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: SQLite offers no write-ahead log here, only %s", ledger.ErrUnsafe, mode)
	}
	failpoint.Here("make.wal")
	if _, err := db.Exec(writing); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	stamp := fmt.Sprintf("pragma application_id=%d; pragma user_version=%d;", applicationID, schemaVersion)
	if _, err := tx.Exec(schema + stamp); err != nil {
		return err
	}
	failpoint.Here("make.commit")
	return tx.Commit()
}

// hasSchema tells, of a ledger.db without locks, whether the schema is made.
// It refuses one that has records already, since nobody can tell what runs.
func hasSchema(db *sql.DB) (bool, error) {
	var tables, records int
	if err := db.QueryRow("select count(*) from sqlite_schema").Scan(&tables); err != nil || tables == 0 {
		return false, err
	}
	if err := checkVersion(db); err != nil {
		return false, err
	}
	if err := db.QueryRow("select count(*) from records").Scan(&records); err != nil {
		return false, err
	}
	if records > 0 {
		return false, fmt.Errorf("%w: locks is gone, so that nobody can tell what is running", ledger.ErrCorrupt)
	}
	return true, nil
}

// writeFile makes a file of ours, whatever the umask.
func writeFile(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Chmod(0o600), f.Close())
}

func f600(path string) error { return os.Chmod(path, 0o600) }
