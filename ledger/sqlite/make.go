package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
)

// make creates the ledger unless it exists, and opens it. It holds init.lock, so that one
// process at a time creates it.
//
// The file locks is created last and shows that the ledger is complete. Without locks,
// the ledger is left over from a crash during make, and is created again. With locks, an
// empty or missing ledger.db is damage.
func (l *Ledger) make() error {
	if err := l.dir.Make(); err != nil {
		return err
	}
	unlock, err := filelock.Init(l.dir, os.O_CREATE)
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

func (l *Ledger) create() error {
	if err := l.dir.Write("init.lock", ""); err != nil {
		return err
	}
	if err := l.dir.Write("README", readme); err != nil {
		return err
	}
	failpoint.Here("make.readme")
	if err := l.dir.Mkdir("output"); err != nil {
		return err
	}
	failpoint.Here("make.output")
	// SQLite gives the mode of ledger.db to the -wal and -shm. So the file is created
	// here, with the right mode, and not by SQLite.
	if err := l.dir.Write("ledger.db", ""); err != nil {
		return err
	}
	if _, err := l.dir.Learn("ledger.db"); err != nil {
		return err
	}
	failpoint.Here("make.empty")
	db, err := l.connectRaw()
	if err != nil {
		return err
	}
	if err := l.createSchema(db); err != nil {
		return err // leave it open, see connect
	}
	failpoint.Here("make.tables")
	if err := l.dir.Check("ledger.db"); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := l.locks.Create(nil); err != nil {
		return err
	}
	failpoint.Here("make.locks")
	if err := l.dir.Sync("."); err != nil {
		return err
	}
	failpoint.Here("make.synced")
	return nil
}

// createSchema creates the tables unless they exist. SQLite opens its files by path. So
// createSchema checks before each step that they are the files of this ledger.
func (l *Ledger) createSchema(db *sql.DB) error {
	if err := l.dir.Check("ledger.db"); err != nil {
		return err
	}
	version, err := l.schemaOf(db)
	if err == nil {
		err = l.dir.Check("ledger.db")
	}
	if version == len(l.scripts) || err != nil {
		return err
	}
	// With auto_vacuum, free pages can later be given back to the disk (pragma
	// incremental_vacuum). SQLite accepts the setting only before the first page is
	// written. A ledger that was created without it keeps its mode: only a full VACUUM
	// would change it.
	if _, err := db.Exec("pragma auto_vacuum=incremental"); err != nil {
		return err
	}
	var mode string
	if err := db.QueryRow("pragma journal_mode=wal").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: SQLite offers no write-ahead log here, only %s", ledger.ErrUnsafe, mode)
	}
	if _, err := db.Exec("select count(*) from sqlite_schema;" + writePragmas()); err != nil { // opens the -wal
		return err
	}
	failpoint.Here("make.wal")
	if err := l.dir.Check("ledger.db"); err != nil {
		return err
	}
	return l.migrate(db, version)
}

// schemaOf returns the version of a ledger.db in a ledger without locks. The version is 0
// when it has no tables. schemaOf refuses a ledger.db that has records, because without
// locks it is unknown which of them are running.
func (l *Ledger) schemaOf(db *sql.DB) (version int, err error) {
	var tables, records int
	if err := db.QueryRow("select count(*) from sqlite_schema").Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	if version, err = l.version(db); err != nil {
		return 0, err
	}
	if err := db.QueryRow("select count(*) from records").Scan(&records); err != nil {
		return 0, err
	}
	if records > 0 {
		return 0, l.locks.Gone()
	}
	return version, nil
}
