package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"idem/ledger/filelock"
)

// Every process that opens a ledger reads its whole -wal first, so the -wal is kept much
// shorter than by default. While a batch runs, it may become longer, because moving its
// content to the database costs syncs. The batch empties it at its end.
const (
	shortWAL     = 40   // pages after which a commit moves the content
	sustainedWAL = 1000 // the same, while a batch runs
)

// writePragmas returns the pragmas that are set before the first write. FULL makes every
// commit durable; on macOS, that also needs the two fullfsync pragmas. Elsewhere they would
// have no effect but one: SQLite compiles the statements of the connection again.
func writePragmas() string {
	pragmas := "pragma synchronous=" + synchronous + "; pragma secure_delete=on;" + walPragmas(shortWAL, 1<<20)
	if runtime.GOOS == "darwin" {
		pragmas += "pragma fullfsync=on; pragma checkpoint_fullfsync=on;"
	}
	return pragmas
}

// sustainedPragmas returns the pragmas that replace the last of writePragmas while a batch
// runs. The -wal is not truncated then, because writing over it is faster than extending it.
func sustainedPragmas() string { return walPragmas(sustainedWAL, -1) }

func walPragmas(pages, sizeLimit int) string {
	return fmt.Sprintf("pragma wal_autocheckpoint=%d; pragma journal_size_limit=%d;", pages, sizeLimit)
}

// settings returns the pragmas of a connection that writes. The caller holds l.mu, or the
// only connection.
func (l *Ledger) settings() string {
	if l.sustained.Load() > 0 {
		return writePragmas() + sustainedPragmas()
	}
	return writePragmas()
}

// longWAL is the size of the -wal in bytes from which on a writer waits for readers.
func (l *Ledger) longWAL() int64 {
	if l.sustained.Load() > 0 {
		return 16 << 20
	}
	return 2 << 20
}

// Sustain implements ledger.Sustaining.
func (l *Ledger) Sustain() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sustained.Add(1) == 1 {
		l.unstarted.Store(filelock.NewUnstarted())
	}
	l.applySettings()
	l.openReader()
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sustained.Add(-1) > 0 {
			return
		}
		l.unstarted.Swap(nil).Close()
		l.applySettings()
		if l.db != nil && l.writable.Load() {
			l.emptyWAL(context.Background(), readerPatience)
		}
	})
}

// applySettings changes the settings of a connection that writes. If that fails, the
// -wal is longer or shorter than it should be.
func (l *Ledger) applySettings() {
	if l.db != nil && l.writable.Load() {
		_, _ = l.db.ExecContext(context.Background(), l.settings())
	}
}

// openReader opens a second connection. Without it, each read waits for the commit that is
// running, and a batch reads the next items while it commits. The connection stays open until
// Close. If it cannot be opened, reads use the first one. The caller holds l.mu.
func (l *Ledger) openReader() {
	if l.db == nil || !l.writable.Load() || l.reader.Load() != nil {
		return
	}
	if db, err := l.connectAs(&connector{ledger: l, reads: true}); err == nil {
		l.reader.Store(&database{DB: db, brief: true})
	}
}
