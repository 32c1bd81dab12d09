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

// explain converts an error of SQLite or of the file system to an error of package
// ledger, and adds the path of the ledger.
func (l *Ledger) explain(err error) error {
	if err == nil {
		return nil
	}
	err = l.movedAway(l.classify(err))
	if limit := fileLimit(err); limit != "" {
		err = fmt.Errorf("%w%s", err, limit)
	}
	return &ledger.Error{Place: l.dir.Path(), Err: err}
}

// fileLimit returns a text that names the limit on the size of files, if err may be caused
// by such a limit. SQLite does not report this cause.
func fileLimit(err error) string {
	var limit unix.Rlimit
	if !errors.Is(err, ledger.ErrFull) && !errors.Is(err, syscall.EFBIG) && !mayBeCommitted(err) {
		return ""
	}
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) != nil || limit.Cur >= 1<<62 {
		return ""
	}
	return fmt.Sprintf(" (files are limited to %d KiB: ulimit -f)", limit.Cur>>10)
}

func (l *Ledger) classify(err error) error {
	if err == nil {
		return nil
	}
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
		if strings.Contains(err.Error(), "sql: Scan error") { // the stored value has another type than the written one
			return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
		}
		return err
	}
	switch code := e.Code(); code & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ledger.ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT: // an inserted row cannot exist already, see numberOf
		return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ledger.ErrReadOnly, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", filelock.ErrTimeout, err)
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(err.Error(), "no such ") { // table or column: the queries never vary
			return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
		}
	case sqlite3.SQLITE_IOERR:
		// The -shm could not grow, or the disk had no block for a page of the -shm that
		// was never written. SQLite reserves one block per 4 KiB, and some disks have
		// smaller blocks.
		if code == sqlite3.SQLITE_IOERR_SHMSIZE || code == sqlite3.SQLITE_IOERR_IN_PAGE && l.full() {
			return fmt.Errorf("%w: %w", ledger.ErrFull, err)
		}
	}
	return err
}

// full reports whether the disk has less than 1 MiB free for the ledger.
func (l *Ledger) full() bool {
	free, err := l.dir.Free()
	return err == nil && free < 1<<20
}

// mayBeCommitted reports whether a commit that failed with err may have succeeded
// nevertheless. SQLite may return an error of the disk that occurred after the last write.
func mayBeCommitted(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_IOERR
}
