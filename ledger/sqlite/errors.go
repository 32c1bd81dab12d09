package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"idem/ledger"
)

// explain gives an error of SQLite or of the file system the meaning that the
// ledger's callers know, and says where.
func (l *Ledger) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ledger %s: %w", l.dir, meaning(err))
}

func meaning(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ledger.ErrFull, err)
	}
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: %w", ledger.ErrReadOnly, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ledger.ErrDenied, err)
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		if strings.Contains(err.Error(), "sql: Scan error") { // a value of another type than was written
			return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
		}
		return err
	}
	switch code := e.Code(); code & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ledger.ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT: // what we insert is not there yet, see numberOf
		return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ledger.ErrReadOnly, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", errLocked, err)
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(err.Error(), "no such ") { // table or column; what we ask for never varies
			return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
		}
	case sqlite3.SQLITE_IOERR:
		if code == sqlite3.SQLITE_IOERR_SHMSIZE {
			return fmt.Errorf("%w: %w", ledger.ErrFull, err) // the -shm could not grow
		}
	}
	return err
}
