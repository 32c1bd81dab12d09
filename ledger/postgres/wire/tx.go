package wire

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

// Tx is a transaction of several round trips. It occupies its session, also while it waits for
// a lock.
type Tx struct {
	ctx  context.Context
	conn *pgconn.PgConn
}

// limits ends the transaction of a client that is frozen or cut off between two round trips, so
// that its locks do not stop other hosts.
const limits = "select pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true)"

// Do sends statements in one round trip, and then calls their functions Each.
func (t *Tx) Do(stmts ...*Stmt) error {
	if err := exchange(t.ctx, t.conn, merge([][]*Stmt{stmts})); err != nil {
		return err
	}
	return deliver(stmts)
}

// Tx calls f and commits its statements together. If f returns an error, nothing is committed.
// The errors are those of Do and of f.
func (s *Session) Tx(ctx context.Context, m Mode, f func(t *Tx) error) error {
	s.Withdraw(ctx)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if err := s.connected(ctx); err != nil {
		return err
	}
	t := &Tx{ctx: ctx, conn: s.conn}
	err := t.Do(&Stmt{SQL: "begin isolation level read committed"}, &Stmt{SQL: m.preamble()}, &Stmt{SQL: limits})
	if err == nil {
		err = f(t)
	}
	if err != nil { // the commit was not sent
		if s.conn.IsClosed() || t.Do(&Stmt{SQL: "rollback"}) != nil {
			s.drop()
		}
		return err
	}
	return s.sent(m, t.Do(&Stmt{SQL: "commit"}))
}
