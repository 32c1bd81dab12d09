package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"idem/ledger"
	"idem/ledger/filelock"
)

// explain gives an error of SQLite or of the file system the meaning that the
// ledger's callers know, and says where.
func (l *Ledger) explain(err error) error {
	if err == nil {
		return nil
	}
	err = l.meaning(err)
	if limit := fileLimit(err); limit != "" {
		err = fmt.Errorf("%w%s", err, limit)
	}
	return &ledger.Error{Place: l.dir.Path(), Err: err}
}

// fileLimit names the limit on the size of files, if there is one that may be why
// something could not be written: SQLite does not tell.
func fileLimit(err error) string {
	var limit unix.Rlimit
	if !errors.Is(err, ledger.ErrFull) && !errors.Is(err, syscall.EFBIG) && !unsure(err) {
		return ""
	}
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) != nil || limit.Cur >= 1<<62 {
		return ""
	}
	return fmt.Sprintf(" (files are limited to %d KiB: ulimit -f)", limit.Cur>>10)
}

func (l *Ledger) meaning(err error) error {
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
		return fmt.Errorf("%w: %w", filelock.ErrTimeout, err)
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(err.Error(), "no such ") { // table or column; what we ask for never varies
			return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
		}
	case sqlite3.SQLITE_IOERR:
		// The -shm could not grow, or a page of it that was never written got no
		// block: SQLite reserves one block in 4 KiB, and some disks have smaller ones.
		if code == sqlite3.SQLITE_IOERR_SHMSIZE || code == sqlite3.SQLITE_IOERR_IN_PAGE && l.full() {
			return fmt.Errorf("%w: %w", ledger.ErrFull, err)
		}
	}
	return err
}

// full reports whether there is next to no room for the ledger.
func (l *Ledger) full() bool {
	free, err := l.dir.Free()
	return err == nil && free < 1<<20
}

// unsure tells whether a commit that failed with err may have been made all the
// same: an error from the disk came after the last write, not from it.
func unsure(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_IOERR
}
