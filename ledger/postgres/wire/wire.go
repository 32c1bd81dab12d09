// Package wire sends statements to a PostgreSQL server. Several statements are one round
// trip and one transaction. Nothing needs the state of a session: no prepared names, no SET.
// So each transaction may run on another connection of a pooler.
package wire

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"idem/internal/combine"
)

// Mode is how durable a transaction is.
type Mode int

// The modes. A Lazy transaction may be undone by a crash of the server. A Durable one is as
// durable as the server's configuration can make it.
const (
	Read Mode = iota
	Lazy
	Durable
)

// preamble makes every name resolve in pg_catalog unless it is qualified, whatever the
// search_path of the role is. Temporary tables and types, which come first by default, come last.
// It is local to the transaction. Its own names and operators are resolved before, so they are
// qualified. A role that asks for remote_apply keeps it. A change waits for a lock no longer than
// its client waits for the answer, because it is not cancelled. A statement_timeout of the role must
// not cancel an outcome either. No statement is compiled, because that takes longer than the statement, and
// each connection compiles again.
func (m Mode) preamble() string {
	const path = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('statement_timeout', '0', true)" +
		", pg_catalog.set_config('jit', 'off', true)"
	const lock = ", pg_catalog.set_config('lock_timeout', '8s', true)"
	switch m {
	case Lazy:
		return path + lock + ", pg_catalog.set_config('synchronous_commit', 'off', true)"
	case Durable:
		return path + lock + ", pg_catalog.set_config('synchronous_commit', case when pg_catalog.current_setting('synchronous_commit')" +
			" operator(pg_catalog.=) 'remote_apply' then 'remote_apply' else 'on' end, true)"
	default:
		return path
	}
}

// UnknownError is the error of a transaction that may have been committed: the connection
// failed after it was sent.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string { return e.Err.Error() }
func (e *UnknownError) Unwrap() error { return e.Err }

// Session is a connection that is opened when it is needed. Its methods may be called from
// several goroutines. Requests that wait at the same time are sent together.
type Session struct {
	dial func(ctx context.Context) (*pgconn.PgConn, error)
	idle time.Duration

	requests *combine.Combiner[*request]

	turn  chan struct{} // holds one token; a channel, so that a wait ends with its context
	conn  *pgconn.PgConn
	timer *time.Timer
}

// New returns a session that connects with dial. It closes a connection that was not used for
// the time idle, unless that is 0.
func New(dial func(ctx context.Context) (*pgconn.PgConn, error), idle time.Duration) *Session {
	s := &Session{dial: dial, idle: idle, turn: make(chan struct{}, 1)}
	s.requests = combine.New(s.serve)
	s.turn <- struct{}{}
	return s
}

// lock waits for the turn to use the connection.
func (s *Session) lock(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unlock passes the turn on.
func (s *Session) unlock() {
	if s.conn != nil && s.conn.IsClosed() {
		s.conn = nil
	}
	if s.conn != nil && s.idle > 0 {
		if s.timer == nil {
			s.timer = time.AfterFunc(s.idle, s.closeIdle)
		} else {
			s.timer.Reset(s.idle)
		}
	}
	s.turn <- struct{}{}
}

func (s *Session) closeIdle() {
	select {
	case <-s.turn:
		s.drop()
		s.turn <- struct{}{}
	default: // in use
	}
}

// drop closes the connection. The caller has the turn.
func (s *Session) drop() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// Close closes the connection. The session can be used again.
func (s *Session) Close() {
	if s.lock(context.Background()) == nil {
		s.drop()
		s.turn <- struct{}{}
	}
}

// connected opens the connection unless it is open. The caller has the turn.
func (s *Session) connected(ctx context.Context) error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	conn, err := s.dial(ctx)
	if err == nil {
		s.conn = conn
	}
	return err
}

// rolledBack reports whether an error of the server means that the transaction is undone. A
// FATAL error can come after the commit, while the server waits for a standby.
func rolledBack(err error) bool {
	p := (*pgconn.PgError)(nil)
	return errors.As(err, &p) && p.Severity != "FATAL" && p.Severity != "PANIC"
}

// sent returns the error of a transaction whose commit was sent. The caller has the turn.
func (s *Session) sent(m Mode, err error) error {
	if err == nil || rolledBack(err) {
		return err
	}
	s.drop()
	if m == Read {
		return err
	}
	return &UnknownError{err}
}
