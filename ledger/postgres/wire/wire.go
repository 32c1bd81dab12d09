// Package wire sends statements to a PostgreSQL server. Several statements are one round
// trip and one transaction. Nothing needs the state of a session: no prepared names, no SET.
// So each transaction may run on another connection of a pooler.
package wire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Stmt is a statement with its result.
type Stmt struct {
	SQL  string
	Args []Arg
	// Each is called for each row after the transaction is committed, or in a Tx after the
	// round trip. It may be nil.
	Each func(*Row) error

	// Rows is the number of rows that were returned or, by a statement that returns none,
	// changed.
	Rows int64

	rows [][][]byte
}

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
// search_path of the role is. It is local to the transaction. A role that asks for
// remote_apply keeps it.
func (m Mode) preamble() string {
	const path = "select pg_catalog.set_config('search_path', 'pg_catalog', true)"
	switch m {
	case Lazy:
		return path + ", pg_catalog.set_config('synchronous_commit', 'off', true)"
	case Durable:
		return path + ", pg_catalog.set_config('synchronous_commit', case pg_catalog.current_setting('synchronous_commit')" +
			" when 'remote_apply' then 'remote_apply' else 'on' end, true)"
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
// several goroutines. They take turns.
type Session struct {
	dial func(ctx context.Context) (*pgconn.PgConn, error)
	idle time.Duration

	mu    chan struct{} // holds one token; a channel, so that a wait ends with its context
	conn  *pgconn.PgConn
	timer *time.Timer

	closing sync.Once
}

// New returns a session that connects with dial. It closes a connection that was not used for
// the time idle, unless that is 0.
func New(dial func(ctx context.Context) (*pgconn.PgConn, error), idle time.Duration) *Session {
	s := &Session{dial: dial, idle: idle, mu: make(chan struct{}, 1)}
	s.mu <- struct{}{}
	return s
}

func (s *Session) lock(ctx context.Context) error {
	select {
	case <-s.mu:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

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
	s.mu <- struct{}{}
}

func (s *Session) closeIdle() {
	select {
	case <-s.mu:
		s.drop()
		s.mu <- struct{}{}
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
		s.mu <- struct{}{}
	}
}

// Forget makes the next transaction use a new connection, because this one leads to a server
// that cannot serve it.
func (s *Session) Forget() { s.Close() }

// Do sends statements in one round trip, as one transaction. With an error, nothing was
// committed, except with an *UnknownError: then it may have been. The functions Each are called
// only without an error of the server.
func (s *Session) Do(ctx context.Context, m Mode, stmts ...*Stmt) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	err := s.do(ctx, m, stmts)
	s.unlock()
	if err != nil {
		return err
	}
	return deliver(stmts)
}

func (s *Session) do(ctx context.Context, m Mode, stmts []*Stmt) error {
	if s.conn == nil || s.conn.IsClosed() {
		conn, err := s.dial(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	err := exchange(ctx, s.conn, append([]*Stmt{{SQL: m.preamble()}}, stmts...))
	if err == nil {
		return nil
	}
	if p := (*pgconn.PgError)(nil); errors.As(err, &p) && p.Severity != "FATAL" && p.Severity != "PANIC" {
		return err // the server has rolled it back
	}
	s.drop()
	if m == Read {
		return err
	}
	return &UnknownError{err}
}

// exchange sends the statements and one Sync, and stores the rows.
func exchange(ctx context.Context, conn *pgconn.PgConn, stmts []*Stmt) (err error) {
	p := conn.StartPipeline(ctx)
	for _, s := range stmts {
		values, oids, formats := make([][]byte, len(s.Args)), make([]uint32, len(s.Args)), []int16{1}
		for i, a := range s.Args {
			values[i], oids[i] = a.value, a.oid
		}
		p.SendQueryParams(s.SQL, values, oids, formats, formats)
	}
	err = p.Sync()
	for _, s := range stmts {
		if err != nil {
			break
		}
		err = s.receive(p)
	}
	if err == nil { // the answer to Sync: the transaction is committed
		var r any
		if r, err = p.GetResults(); err == nil {
			if _, ok := r.(*pgconn.PipelineSync); !ok {
				err = fmt.Errorf("%w: %T", errColumn, r)
			}
		}
	}
	return errors.Join(err, p.Close())
}

func (s *Stmt) receive(p *pgconn.Pipeline) error {
	s.rows = nil
	r, err := p.GetResults()
	if err != nil {
		return err
	}
	rr, ok := r.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("%w: %T", errColumn, r)
	}
	for rr.NextRow() {
		values := rr.Values()
		row := make([][]byte, len(values))
		for i, v := range values {
			if v != nil {
				row[i] = append(make([]byte, 0, len(v)), v...)
			}
		}
		s.rows = append(s.rows, row)
	}
	tag, err := rr.Close()
	s.Rows = tag.RowsAffected()
	return err
}

func deliver(stmts []*Stmt) error {
	for _, s := range stmts {
		rows := s.rows
		s.rows = nil
		if s.Each == nil {
			continue
		}
		for _, values := range rows {
			row := &Row{values: values}
			if err := errors.Join(s.Each(row), row.err); err != nil {
				return err
			}
		}
	}
	return nil
}
