// Package dsn reads the URL of a shared ledger and dials its server. No password reaches a text.
package dsn

import "github.com/jackc/pgx/v5/pgconn"

// Conn is a connection to the server of a ledger.
type Conn = pgconn.PgConn
