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
// longer than answering it. While a batch runs, it also keeps the statements of
// transactions.
type database struct {
	*sql.DB

	// brief says that no query waits for a writer, so that the end of a context need not
	// interrupt it. A query that can be interrupted costs two goroutines.
	brief bool

	mu       sync.Mutex
	compiled map[string]*sql.Stmt
}

func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if d.brief {
		ctx = context.WithoutCancel(ctx)
	}
	stmt := d.cached(query)
	if stmt == nil {
		if err := d.compile(ctx, query); err != nil {
			return d.DB.QueryRowContext(ctx, query, args...) // returns the same error in its Row
		}
		stmt = d.cached(query)
	}
	return stmt.QueryRowContext(ctx, args...)
}

func (d *database) cached(query string) *sql.Stmt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiled[query]
}

func (d *database) compile(ctx context.Context, query string) error {
	stmt, err := d.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiled == nil {
		d.compiled = map[string]*sql.Stmt{}
	}
	d.compiled[query] = stmt
	return nil
}

// transaction uses the compiled statements of its database. It compiles nothing itself,
// because that needs the connection, which the transaction holds.
//
// The end of a context interrupts no statement: SQLite would roll the whole transaction
// back, also what other calls change in it.
type transaction struct {
	tx *sql.Tx
	db *database
	// wanted receives the statements that were not compiled, unless it is nil.
	wanted *[]string

	receipts *receipts
}

// touch says that the transaction changes the row of a record, or its current attempt. done
// reports whether the record may have been a success.
func touch(tx querier, number int64, done bool) {
	if t, ok := tx.(transaction); ok { // else it fills a new ledger, which has no receipts
		t.receipts.touch(number, done)
	}
}

// keepReceipt says what the transaction makes of a record. frames is its output, if that is in
// ledger.db.
func keepReceipt(tx querier, r recordRow, a attemptRow, frames []byte) {
	if t, ok := tx.(transaction); ok {
		t.receipts.keep(receipt{r, a, frames})
	}
}

func (t transaction) compiled(ctx context.Context, query string) *sql.Stmt {
	stmt := t.db.cached(query)
	if stmt == nil {
		if t.wanted != nil {
			*t.wanted = append(*t.wanted, query)
		}
		return nil
	}
	return t.tx.StmtContext(ctx, stmt)
}

func (t transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if stmt := t.compiled(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

func (t transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(context.WithoutCancel(ctx), query, args...)
}

func (t transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if stmt := t.compiled(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}
