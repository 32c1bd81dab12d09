package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"os"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
)

//go:embed migrations/0001_ledger.sql
var script1 string

//go:embed migrations/0002_mutexes.sql
var script2 string

//go:embed migrations/0003_families.sql
var script3 string

// migrations are the scripts that create the tables of a ledger, in order. user_version is
// the number of scripts that were run on a ledger. A released script is never changed.
//
// A process of the previous version may have the ledger open while a script runs, and may
// record the outcome of its command afterwards. So a script may add tables, indexes and
// columns with a default. It must not remove or rename anything that the previous version
// writes, and this version must be able to read it.
var migrations = []string{script1, script2, script3}

// version returns the number of scripts that were run on the ledger in db. It refuses a
// database of another program, one that was never finished, and one of a newer idem.
func (l *Ledger) version(db *sql.DB) (int, error) {
	var app, version int
	if err := db.QueryRow("pragma application_id").Scan(&app); err != nil {
		return 0, err
	}
	if err := db.QueryRow("pragma user_version").Scan(&version); err != nil {
		return 0, err
	}
	switch {
	case app == 0 && version == 0:
		// A ledger gets its tables and its version in one transaction.
		var tables int
		if err := db.QueryRow("select count(*) from sqlite_schema").Scan(&tables); err != nil {
			return 0, err
		}
		if tables > 0 {
			return 0, fmt.Errorf("%w: ledger.db belongs to another program", ledger.ErrForeign)
		}
		return 0, fmt.Errorf("%w: ledger.db was never finished", ledger.ErrCorrupt)
	case app != applicationID:
		return 0, fmt.Errorf("%w: ledger.db belongs to another program", ledger.ErrForeign)
	case version > len(l.scripts):
		return 0, fmt.Errorf("%w: its version is %d, this idem knows %d", ledger.ErrVersion, version, len(l.scripts))
	case version < 1: // written before the scripts had numbers
		return 0, fmt.Errorf("%w: its version is %d, this idem reads %d", ledger.ErrOldVersion, version, len(l.scripts))
	}
	return version, nil
}

// upgrade migrates a ledger of an earlier version to this one. The first process that
// opens the ledger does so, even if it only reads, so no statement of this version has to
// handle earlier tables. Other processes wait. locked reports whether the caller holds
// init.lock.
//
// The migration changes no record, so it is not counted as a commit and the witness stays
// as it is. A ledger that has lost commits is refused.
func (l *Ledger) upgrade(db *sql.DB, from int, locked bool) error {
	err := func() error {
		if !locked {
			unlock, err := filelock.Init(l.dir, os.O_CREATE)
			if err != nil {
				return err
			}
			defer unlock()
		}
		turn, err := l.takeTurn() // writers of an earlier version take turns too
		if err != nil {
			return err
		}
		defer turn.end()
		failpoint.Here("migrate.locked")
		if _, err := db.Exec(writePragmas()); err != nil {
			return err
		}
		commits, err := commitsOf(context.Background(), db)
		if err != nil {
			return err
		}
		if err := turn.missing(commits); err != nil {
			return err
		}
		if err := l.dir.Check(); err != nil {
			return err
		}
		current, err := l.version(db)
		if err != nil || current == len(l.scripts) { // another process was faster
			return err
		}
		return l.migrate(db, current)
	}()
	if err != nil {
		return fmt.Errorf("migrating it from version %d to %d: %w", from, len(l.scripts), err)
	}
	failpoint.Here("migrate.done")
	return nil
}

// migrate runs all scripts but the first from in one transaction. The caller holds
// init.lock and has executed writePragmas.
func (l *Ledger) migrate(db *sql.DB, from int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, script := range l.scripts[from:] {
		if _, err := tx.Exec(script); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(fmt.Sprintf("pragma application_id=%d; pragma user_version=%d", applicationID, len(l.scripts))); err != nil {
		return err
	}
	failpoint.Here("migrate.commit")
	return tx.Commit()
}
