package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"sync/atomic"

	sqlitedriver "modernc.org/sqlite"
)

// connectRaw opens ledger.db without checking its content.
func (l *Ledger) connectRaw() (*sql.DB, error) { return l.connectAs(&connector{ledger: l}) }

func (l *Ledger) connectAs(c *connector) (*sql.DB, error) {
	// With mode=rw, SQLite never creates the file. It opens a read-only file for
	// reading.
	mode := "rw"
	if c.looks {
		mode = "ro"
	}
	if c.frozen {
		mode += "&immutable=1"
	}
	place := url.URL{Scheme: "file", Path: l.dir.File("ledger.db"), RawQuery: "mode=" + mode + "&_txlock=immediate"}
	base, err := sqlitedriver.NewConnector(place.String())
	if err != nil {
		return nil, err
	}
	c.Connector = base
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)                      // the pragmas belong to a connection
	conn, err := db.Conn(context.Background()) // not Ping, which runs a query
	if err != nil {
		return nil, err // leave it open, see connect
	}
	return db, conn.Close()
}

// connector opens the connections of one sql.DB. It opens a second connection after a
// context has interrupted the first one.
type connector struct {
	driver.Connector
	ledger *Ledger
	reads  bool        // its connections only read, and are further ones from the first on
	looks  bool        // its connections cannot write
	frozen bool        // no process writes to ledger.db, and there is no -wal
	used   atomic.Bool // the next connection is a further one
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	settings := readPragmas()
	reconnected := c.used.Swap(true) || c.reads
	if c.reads {
		settings += "pragma query_only=on;"
	} else if reconnected && c.ledger.writable.Load() {
		settings += c.ledger.settings()
	}
	if reconnected {
		settings += "select count(*) from sqlite_schema;" // makes SQLite open all its files
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, settings, nil)
	if err == nil && reconnected {
		err = c.ledger.dir.Check("ledger.db")
		// If the first connection was the last one on the database, SQLite has removed
		// the -wal, and the second one has created another.
		if _, pinned := c.ledger.dir.Pinned(walName); pinned && err == nil {
			if c.reads { // the -wal is that of the connection that writes
				err = c.ledger.dir.Check(walName)
			} else {
				err = c.ledger.dir.Relearn(walName)
			}
		}
	}
	if err != nil {
		return nil, err // leave it open, see Ledger.connect
	}
	return conn, nil
}
