package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// database is a connection to SQLite that compiles a query for one row only the
// first time: a call that runs its command reads its record three times, and to
// compile that takes SQLite longer than to answer it.
type database struct {
	*sql.DB

	mu       sync.Mutex
	compiled map[string]*sql.Stmt
}

func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt := d.known(query)
	if stmt == nil {
		var err error
		if stmt, err = d.PrepareContext(ctx, query); err != nil {
			return d.DB.QueryRowContext(ctx, query, args...) // it says so as well
		}
		d.keep(query, stmt)
	}
	return stmt.QueryRowContext(ctx, args...)
}

func (d *database) known(query string) *sql.Stmt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiled[query]
}

func (d *database) keep(query string, stmt *sql.Stmt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiled == nil {
		d.compiled = map[string]*sql.Stmt{}
	}
	d.compiled[query] = stmt
}

// transaction uses what its database has compiled. It compiles nothing itself:
// that takes the connection, which it has.
type transaction struct {
	*sql.Tx
	db *database
}

func (t transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.db.known(query); stmt != nil {
		return t.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}
