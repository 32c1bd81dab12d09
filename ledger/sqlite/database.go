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

// database is a connection to SQLite that keeps compiled single-row queries. A call that
// runs its command reads its record three times, and compiling the query takes SQLite
// longer than answering it.
type database struct {
	*sql.DB

	mu       sync.Mutex
	compiled map[string]*sql.Stmt
}

func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt := d.cached(query)
	if stmt == nil {
		var err error
		if stmt, err = d.PrepareContext(ctx, query); err != nil {
			return d.DB.QueryRowContext(ctx, query, args...) // returns the same error in its Row
		}
		d.cache(query, stmt)
	}
	return stmt.QueryRowContext(ctx, args...)
}

func (d *database) cached(query string) *sql.Stmt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiled[query]
}

func (d *database) cache(query string, stmt *sql.Stmt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiled == nil {
		d.compiled = map[string]*sql.Stmt{}
	}
	d.compiled[query] = stmt
}

// transaction uses the compiled queries of its database. It compiles nothing itself,
// because that needs the connection, which the transaction holds.
//
// The end of a context interrupts no query: SQLite would roll the whole transaction back,
// also what other calls change in it.
type transaction struct {
	tx *sql.Tx
	db *database
}

func (t transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if stmt := t.db.cached(query); stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

func (t transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(context.WithoutCancel(ctx), query, args...)
}

func (t transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(context.WithoutCancel(ctx), query, args...)
}
