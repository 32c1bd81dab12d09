package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"sync/atomic"

	sqlitedriver "modernc.org/sqlite"
)

// connectRaw opens ledger.db, whatever is in it.
func (l *Ledger) connectRaw() (*sql.DB, error) {
	// mode=rw: SQLite must never make the file. A file that can only be read
	// is opened for reading.
	place := url.URL{Scheme: "file", Path: l.dir.File("ledger.db"), RawQuery: "mode=rw&_txlock=immediate"}
	base, err := sqlitedriver.NewConnector(place.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(&connector{Connector: base, ledger: l})
	db.SetMaxOpenConns(1)                      // the pragmas belong to a connection
	conn, err := db.Conn(context.Background()) // not Ping, which makes a query
	if err != nil {
		return nil, err // and do not close: see connect
	}
	return db, conn.Close()
}

// connector makes the connections of one sql.DB. There is a second one when the
// first was interrupted by its context.
type connector struct {
	driver.Connector
	ledger *Ledger
	used   atomic.Bool
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	settings := reading
	again := c.used.Swap(true)
	if again && c.ledger.writable.Load() {
		settings += writing
	}
	if again {
		settings += "select count(*) from sqlite_schema;" // SQLite opens all its files
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, settings, nil)
	if err == nil && again {
		err = c.ledger.dir.Check("ledger.db")
		// With the last connection of all, SQLite has removed the -wal.
		if _, pinned := c.ledger.dir.Pinned(walName); pinned && err == nil {
			err = c.ledger.dir.Relearn(walName)
		}
	}
	if err != nil {
		return nil, err // and do not close: see Ledger.connect
	}
	return conn, nil
}
