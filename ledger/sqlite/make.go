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

// make makes the ledger. One process at a time does so, under init.lock; the
// others find it made. locks is created last and says that all else is there,
// so that a crash on the way leaves something that is made again, while a
// ledger.db that is emptied or removed later is damage.
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
	// Made by us, because SQLite gives its mode to the -wal and -shm.
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
		return err // and do not close: see connect
	}
	failpoint.Here("make.tables")
	if err := l.dir.Check("ledger.db"); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := l.locks.Create(); err != nil {
		return err
	}
	failpoint.Here("make.locks")
	if err := l.dir.Sync("."); err != nil {
		return err
	}
	failpoint.Here("make.synced")
	return nil
}

// createSchema makes the tables, unless they are there. Before each step it makes
// sure that SQLite, which opens its files by path, has opened those of this
// ledger.
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
	// SQLite takes this only before the first page is written. Room that gets free
	// can then be given back to the disk (pragma incremental_vacuum). A ledger that
	// was made without it stays so: only a full VACUUM would change it.
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
	if _, err := db.Exec("select count(*) from sqlite_schema;" + writing); err != nil { // opens the -wal
		return err
	}
	failpoint.Here("make.wal")
	if err := l.dir.Check("ledger.db"); err != nil {
		return err
	}
	return l.migrate(db, version)
}

// schemaOf returns the version of a ledger.db without locks, 0 when it has no
// tables. It refuses one that has records already: nothing says which of them
// run.
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
