package wire

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Tx is a transaction of several round trips. A transaction that waits for a lock occupies its
// session.
type Tx struct {
	ctx  context.Context
	conn *pgconn.PgConn
}

// Do sends statements in one round trip, and then calls their functions Each.
func (t *Tx) Do(stmts ...*Stmt) error {
	if err := exchange(t.ctx, t.conn, stmts); err != nil {
		return err
	}
	return deliver(stmts)
}

// Tx calls f and commits its statements together. If f returns an error, nothing is committed.
// The errors are those of Do and of f.
func (s *Session) Tx(ctx context.Context, m Mode, f func(t *Tx) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.conn == nil || s.conn.IsClosed() {
		conn, err := s.dial(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	t := &Tx{ctx: ctx, conn: s.conn}
	err := t.Do(&Stmt{SQL: "begin isolation level read committed"}, &Stmt{SQL: m.preamble()})
	if err == nil {
		err = f(t)
	}
	if err != nil { // before the commit was sent
		if e := t.Do(&Stmt{SQL: "rollback"}); e != nil {
			s.drop()
		}
		return err
	}
	tag := &Stmt{SQL: "commit"}
	if err = t.Do(tag); err == nil {
		return nil
	}
	if p := (*pgconn.PgError)(nil); errors.As(err, &p) && p.Severity != "FATAL" && p.Severity != "PANIC" {
		return err
	}
	s.drop()
	return &UnknownError{err}
}
