package dsn

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Delays between two passes through the list of hosts. Each varies at random from 0 to
// twice its value, so that the calls of many hosts do not come back at the same moment.
const (
	firstDelay = 25 * time.Millisecond
	lastDelay  = time.Second
)

// Dial connects to the first host of the list that accepts the connection, and can be
// written if the list has several hosts. While no host does, but another moment could
// bring another result, it tries again until ctx ends. Without a deadline it can take
// for ever. The error is a *DialError.
//
// The connection has no session state. The caller must not set any: a pooler may give each
// transaction another server process.
func (c *Config) Dial(ctx context.Context) (*pgconn.PgConn, error) {
	delays := &backoff.ExponentialBackOff{
		InitialInterval: firstDelay, RandomizationFactor: 1, Multiplier: 2, MaxInterval: lastDelay,
	}
	delays.Reset()
	var last *DialError
	var p printed
	for {
		conn, failed := c.pass(ctx, &p)
		if failed == nil {
			return conn, nil
		}
		if last == nil || ctx.Err() == nil { // an attempt that ctx cut short says less
			last = failed
		}
		if !failed.again {
			return nil, last
		}
		select {
		case <-ctx.Done():
			return nil, last.ended(ctx)
		case <-time.After(delays.NextBackOff()):
		}
	}
}

// address is one address of a target.
type address struct {
	target int
	ip     string // "" for a socket
}

// pass tries each address of each host once.
func (c *Config) pass(ctx context.Context, p *printed) (*pgconn.PgConn, *DialError) {
	var failures []*DialError
	var addresses []address
	for i, t := range c.targets {
		if t.socket() {
			addresses = append(addresses, address{target: i})
			continue
		}
		ips, err := net.DefaultResolver.LookupHost(ctx, t.host)
		if err != nil {
			failures = append(failures, c.failure(t, err, ""))
			continue
		}
		for _, ip := range ips {
			addresses = append(addresses, address{i, ip})
		}
	}
	for n, a := range addresses {
		conn, failed := c.attempt(ctx, a, len(addresses)-n, p)
		if failed == nil {
			return conn, nil
		}
		failures = append(failures, failed)
		if failed.Kind == Auth || failed.Kind == NoDatabase || failed.Kind == Denied || ctx.Err() != nil {
			break // as libpq; the next host would get the same wrong password
		}
	}
	return nil, join(failures, len(c.targets) > 1)
}

// attempt connects to one address. Its share of the time that is left depends on the
// number of addresses that are not tried yet.
func (c *Config) attempt(ctx context.Context, a address, left int, p *printed) (*pgconn.PgConn, *DialError) {
	t := c.targets[a.target]
	limit := c.settings.connectTimeout()
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share := max(time.Until(deadline)/time.Duration(left), time.Second)
		if limit == 0 || share < limit {
			limit = share
		}
	} else if limit == 0 && left > 1 {
		limit = 5 * time.Second
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}

	password, note, err := c.password(ctx, a.target, p)
	if err != nil {
		return nil, c.failure(t, err, "")
	}
	config := t.config.Copy()
	config.Password = password
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{a.ip}, nil }
	conn, err := connect(ctx, config)
	if err != nil {
		failed := c.failure(t, err, password)
		failed.addHint(c, password, note)
		return nil, failed
	}
	if err := c.wanted(ctx, conn); err != nil {
		closeNow(conn)
		return nil, c.failure(t, err, password)
	}
	return conn, nil
}

// errNoCancel is the error of a request to cancel a statement.
var errNoCancel = errors.New("statements are not cancelled")

// connect connects once. The connection never asks the server to cancel a statement, as pgconn
// does when it gives an answer up. A commit that waits for a standby would then be visible but
// not replicated, and a failover could forget it.
func connect(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	var connected atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Load() { // pgconn dials again for nothing else
			return nil, errNoCancel
		}
		return dial(ctx, network, addr)
	}
	defer connected.Store(true)
	return pgconn.ConnectConfig(ctx, config)
}

// wanted checks the server as target_session_attrs says. By default it is not checked if
// there is one host only: the first statement finds out without a further round trip.
func (c *Config) wanted(ctx context.Context, conn *pgconn.PgConn) error {
	attrs := c.settings["target_session_attrs"]
	if attrs == "" && len(c.targets) > 1 {
		attrs = "read-write"
	}
	var status []string
	var query string
	switch attrs {
	case "read-write":
		status, query = []string{"in_hot_standby", "default_transaction_read_only"}, "show transaction_read_only"
	case "primary":
		status, query = []string{"in_hot_standby"}, "select case when pg_catalog.pg_is_in_recovery() then 'on' else 'off' end"
	default:
		return nil
	}
	// Servers since PostgreSQL 14 have already said it. A pooler can repeat an old answer,
	// so only the good one counts: if that is old, the first statement fails.
	good := 0
	for _, name := range status {
		if conn.ParameterStatus(name) == "off" {
			good++
		}
	}
	if good == len(status) {
		return nil
	}
	results, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != "off" {
		return errReadOnly
	}
	return nil
}

// closeNow closes a connection that was not used.
func closeNow(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// join makes one failure of those of all addresses. Its kind is the most telling one. It
// may be tried again if one of them may, because that host may become the right one.
func join(failures []*DialError, several bool) *DialError {
	if len(failures) == 0 {
		return &DialError{Kind: Unreachable, text: "the host has no address"}
	}
	all := *failures[0]
	var texts []string
	seen := map[string]bool{}
	final := false
	for _, f := range failures {
		if rank[f.Kind] > rank[all.Kind] {
			hint := all.Hint
			all = *f
			if all.Hint == "" {
				all.Hint = hint
			}
		}
		text := f.text
		if several {
			text = f.host + ": " + text
		}
		if !seen[text] {
			texts = append(texts, text)
		}
		seen[text] = true
		all.again = all.again || f.again
		final = final || rank[f.Kind] >= rank[Denied]
	}
	all.again = all.again && !final
	all.text = strings.Join(texts, "; ")
	return &all
}
