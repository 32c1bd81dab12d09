package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"idem/ledger"
)

// shrinkPages is the number of pages that a transaction gives back. It bounds the time that other
// writers wait.
const shrinkPages = 256

// Shrink implements ledger.Shrinking.
func (l *Ledger) Shrink(ctx context.Context, whole bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return l.explain(err)
	}
	defer l.Sustain()()
	if whole {
		return l.explain(l.vacuum(ctx))
	}
	for before := int64(-1); ; {
		var free int64
		if err := db.QueryRowContext(ctx, "pragma freelist_count").Scan(&free); err != nil {
			return l.explain(err)
		}
		if free == 0 || free == before { // none, or the ledger cannot give any back
			return nil
		}
		before = free
		err := l.write(ctx, func(tx querier) error {
			return each(ctx, tx, func(*sql.Rows) error { return nil }, fmt.Sprintf("pragma incremental_vacuum(%d)", shrinkPages))
		})
		if err != nil {
			return l.explain(err)
		}
		time.Sleep(turnTime) // as in a deletion
	}
}

// vacuum copies the whole database: to a temporary file in the directory of the ledger, and from there through the log.
func (l *Ledger) vacuum(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	db, err := l.writer(ctx)
	if err != nil {
		return err
	}
	t, err := l.takeTurn()
	if err != nil {
		return err
	}
	defer t.end()
	commits, err := commitsOf(ctx, db)
	if err != nil {
		return err
	}
	if err := t.missing(commits); err != nil {
		return err
	}
	if err := l.dir.Check(); err != nil {
		return err
	}
	if err := l.hasRoom(ctx, db); err != nil {
		return err
	}
	l.receipts.begin(commits, true) // it changes no record
	defer l.receipts.stamp()
	// Other directories for temporary files may be too small, or in memory.
	if _, err := db.ExecContext(ctx, "pragma temp_store_directory='"+strings.ReplaceAll(l.dir.Path(), "'", "''")+"'"); err != nil {
		return err
	}
	_, err = db.ExecContext(context.WithoutCancel(ctx), "vacuum")
	return err
}

// HasRoom implements ledger.Shrinking.
func (l *Ledger) HasRoom(ctx context.Context) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return l.explain(err)
	}
	return l.explain(l.hasRoom(ctx, db))
}

func (l *Ledger) hasRoom(ctx context.Context, q querier) error {
	var size int64
	if err := q.QueryRowContext(ctx, "select page_count*page_size from pragma_page_count, pragma_page_size").Scan(&size); err != nil {
		return err
	}
	free, err := l.dir.Free()
	if err == nil && free < 2*size {
		err = fmt.Errorf("%w: it would take %d bytes more than the %d that are free", ledger.ErrFull, 2*size-free, free)
	}
	return err
}
