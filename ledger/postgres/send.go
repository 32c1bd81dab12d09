package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// tryTimeout is the time after which one exchange with the server counts as failed. A server
// that is stopped, or a network that swallows packets, gives no error.
const tryTimeout = 10 * time.Second

// perByte is what tryTimeout grows for each byte that is sent. The files of an outcome can be
// large, and a network of 1 Mbit/s must be able to send them.
const perByte = time.Second / (100 << 10)

// do sends statements as one transaction, and repeats them until the server has answered or the
// connect timeout has passed. So the statements must have a guard that makes a second execution
// harmless: after an answer that was lost, the guard fails, and the caller reads back.
func (l *Ledger) do(ctx context.Context, m wire.Mode, stmts ...*wire.Stmt) error {
	return l.doWithin(ctx, l.opt.ConnectTimeout, m, stmts...)
}

func (l *Ledger) doWithin(ctx context.Context, d time.Duration, m wire.Mode, stmts ...*wire.Stmt) error {
	size := 0
	for _, s := range stmts {
		size += s.Size()
	}
	return l.retryEach(ctx, d, tryTimeout+time.Duration(size)*perByte, func(ctx context.Context) error { return l.session.Do(ctx, m, stmts...) })
}

// leaving sends statements that free something. It sends them twice if necessary, because the
// connection may have been cut while it was not used. The caller does not wait longer for a
// server that is gone, because the lease ends by itself.
func (l *Ledger) leaving(ctx context.Context, stmts ...*wire.Stmt) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	err := l.session.Do(ctx, wire.Lazy, stmts...)
	if err != nil && repeatable(err) {
		err = l.session.Do(ctx, wire.Lazy, stmts...)
	}
	return err
}

// tx runs a transaction of several round trips. f may be called more than once.
func (l *Ledger) tx(ctx context.Context, m wire.Mode, f func(t *wire.Tx) error) error {
	return l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error { return l.session.Tx(ctx, m, f) })
}

// retry calls f until it succeeds, fails with an error that a repetition does not mend, or the
// time d has passed.
func (l *Ledger) retry(ctx context.Context, d time.Duration, f func(ctx context.Context) error) error {
	return l.retryEach(ctx, d, tryTimeout, f)
}

// retryEach is retry with another limit for one call of f.
func (l *Ledger) retryEach(ctx context.Context, d, limit time.Duration, f func(ctx context.Context) error) error {
	end := time.Now().Add(d)
	b := &backoff.ExponentialBackOff{InitialInterval: 10 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: time.Second}
	b.Reset()
	for {
		try, cancel := context.WithDeadline(ctx, earlier(time.Now().Add(limit), end))
		err := f(try)
		cancel()
		if err == nil || ctx.Err() != nil || !repeatable(err) {
			return l.explain(l.missing(ctx, err))
		}
		pause := b.NextBackOff()
		if time.Now().Add(pause).After(end) {
			return l.explain(err)
		}
		select {
		case <-ctx.Done():
			return l.explain(err)
		case <-time.After(pause):
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// repeatable reports whether the same statements may succeed soon.
func repeatable(err error) bool {
	if p := (*pgconn.PgError)(nil); errors.As(err, &p) {
		switch p.Code {
		case "40001", "40P01", // serialization failure, deadlock
			"55P03",                   // lock not available
			"25P03",                   // this program was too slow between two round trips of a transaction
			"57P01", "57P02", "57P03", // the server is ending, crashed or starts
			"25006", // read-only: a server that was demoted
			"53300": // too many connections
			return true
		}
		return p.Severity == "FATAL" && dsn.Class(err) == dsn.Unreachable
	}
	switch dsn.Class(err) {
	case dsn.Unreachable, dsn.TooMany:
		return true
	}
	return errors.As(err, new(*wire.UnknownError))
}
