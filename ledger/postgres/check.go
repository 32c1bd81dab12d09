package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// Check examines the server, the tables and the rights of the role. It changes nothing. An error
// means that it could not look.
func Check(ctx context.Context, place string, o ConnectOptions) (Report, error) {
	l, err := o.open(place)
	if err != nil {
		return Report{}, err
	}
	defer l.Close()
	c := &check{ledger: l}
	for _, look := range []func(context.Context) error{c.connection, c.server, c.settings, c.tables, c.rights, c.host} {
		if err := look(ctx); err != nil {
			return c.Report, l.explain(err)
		}
		if c.over {
			break
		}
	}
	return c.Report, nil
}

// check collects the lines of Check.
type check struct {
	Report
	ledger *Ledger
	meta   meta
	over   bool // the rest cannot be looked at
}

// The differences between the clocks of this host and the server from which on Check speaks of
// them. No claim depends on them, but the age of a success does.
const (
	clockNote    = time.Second
	clockWarning = 10 * time.Second
)

// connection looks at one connection: its encryption, its length, and the clock at its end.
func (c *check) connection(ctx context.Context) error {
	l := c.ledger
	ctx, cancel := context.WithTimeout(ctx, l.opt.ConnectTimeout)
	defer cancel()
	conn, err := l.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	c.encryption(conn.Conn())
	sent := time.Now()
	results, err := conn.Exec(ctx, "select pg_catalog.pg_backend_pid(), (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8").ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("the server's answer has an unexpected form")
	}
	took := time.Since(sent)
	row := results[0].Rows[0]
	if string(row[0]) != strconv.Itoa(int(conn.PID())) {
		c.add(LevelOK, "pooler", "a pooler is between this host and the server")
	} else {
		c.add(LevelOK, "pooler", "none").hint("many calls are faster with PgBouncer in its transaction mode")
	}
	at, err := strconv.ParseInt(string(row[1]), 10, 64)
	if err != nil {
		return err
	}
	c.clock(time.UnixMicro(at).Sub(sent.Add(took/2)), took)
	return nil
}

func (c *check) encryption(conn net.Conn) {
	state, encrypted := conn.(*tls.Conn)
	address := conn.RemoteAddr()
	ip, remote := address.(*net.TCPAddr)
	switch {
	case encrypted:
		c.add(LevelOK, "tls", "%s", tls.VersionName(state.ConnectionState().Version))
	case !remote:
		c.add(LevelOK, "tls", "none; the server is on this host")
	case ip.IP.IsLoopback():
		c.add(LevelOK, "tls", "none; the server, or a pooler, is on this host")
	default:
		c.add(LevelWarning, "tls", "none: keys, outputs and passwords can be read in the network").hint("sslmode=verify-full")
	}
}

// clock adds a line about the server's clock, which is ahead by d, known to half of took.
func (c *check) clock(d, took time.Duration) {
	level, where := LevelOK, "ahead of"
	if d < 0 {
		d, where = -d, "behind"
	}
	switch distance := d - took/2; {
	case distance > clockWarning:
		level = LevelWarning
	case distance > clockNote:
		level = LevelNote
	}
	line := c.add(level, "clock", "the server's clock is %v %s that of this host", d.Round(time.Millisecond), where)
	if level == LevelWarning {
		line.hint("claims do not depend on it, but a policy about the age of a success does: synchronize both clocks")
	}
}

// server looks at the version and the state of the server.
func (c *check) server(ctx context.Context) error {
	l := c.ledger
	var version string
	var number int64
	var standby, readOnly, synchronous bool
	s := l.stmt(`select pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::pg_catalog.int8,
		pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.current_setting('fsync') = 'on'`)
	s.Each = func(row *wire.Row) error {
		version, number, standby, readOnly, synchronous = row.Text(), row.Int(), row.Bool(), row.Bool(), row.Bool()
		return nil
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return err
	}
	switch {
	case number < oldestServer:
		c.add(LevelFault, "server", "PostgreSQL %s; idem requires %d", version, oldestServer/10000)
		c.over = true
	case standby:
		c.add(LevelFault, "server", "PostgreSQL %s, a standby: nothing can be recorded", version).hint("name the primary, or all hosts: postgres://USER@HOST1,HOST2/DATABASE")
	case readOnly:
		c.add(LevelFault, "server", "PostgreSQL %s, read-only: nothing can be recorded", version).hint("alter role ... set default_transaction_read_only = off")
	default:
		c.add(LevelOK, "server", "PostgreSQL %s", version)
	}
	if !synchronous {
		c.add(LevelWarning, "fsync", "off: a power cut of the server can lose successes").hint("fsync = on")
	}
	return nil
}

// tables looks at the row of meta.
func (c *check) tables(ctx context.Context) error {
	l := c.ledger
	m := &c.meta
	var same, synchronous bool
	system := l.stmt("select system = " + systemNow + " from {s}.meta")
	system.Each = func(row *wire.Row) error { same = row.Bool(); return nil }
	sync := l.stmt(synchronousSQL)
	sync.Each = func(row *wire.Row) error { synchronous = row.Bool(); return nil }
	err := l.do(ctx, wire.Read, l.metaStmt(m), system, sync)
	switch {
	case errors.Is(err, ledger.ErrMissing):
		c.over = true
		c.add(LevelFault, "tables", "there is no ledger in schema %s", l.cfg.Schema).hint("as the role that shall own it: %s", l.call("init"))
		return nil
	case errors.Is(err, ledger.ErrDenied):
		c.over = true
		c.add(LevelFault, "rights", "role %s may not use the ledger", l.cfg.User()).hint("as the owner: %s", l.grantHint())
		return nil
	case err != nil:
		return err
	}
	switch {
	case m.ledger == wire.UUID{}:
		c.over = true
		c.add(LevelFault, "tables", "the table meta is empty")
		return nil
	case m.minReader > format:
		c.add(LevelFault, "format", "%d; this idem can neither read nor write it", m.format).hint("install a newer idem")
		c.over = true
	case m.minWriter > format:
		c.add(LevelFault, "format", "%d; this idem can only read it", m.format).hint("install a newer idem")
	case m.format < format:
		c.add(LevelNote, "format", "%d; this idem has format %d", m.format, format).hint("as the owner: %s", l.call("upgrade"))
	default:
		c.add(LevelOK, "format", "%d", m.format)
	}
	switch {
	case m.timeline == 0 || m.timeline == m.confirmed:
		c.add(LevelOK, "timeline", "%d", m.confirmed)
	case m.failover == FailoverAccept:
		c.add(LevelNote, "timeline", "%d, after a promotion or a restore; confirmed: %d", m.timeline, m.confirmed)
	default:
		c.add(LevelFault, "timeline", "%d, after a promotion or a restore; confirmed: %d: no key is started", m.timeline, m.confirmed).hint("%s", l.call("confirm"))
	}
	if !same {
		c.add(LevelWarning, "system", "the tables were copied from another database system: successes since the copy may be missing").hint("%s", l.call("confirm"))
	}
	c.failover(m.failover, synchronous, l)
	return nil
}

// call is a call of idem ledger for the URL.
func (l *Ledger) call(how string) string {
	return "idem ledger " + how + " " + quoteArg(l.cfg.Canonical)
}

// grantHint is the call by which the owner grants the role its rights.
func (l *Ledger) grantHint() string {
	return "idem ledger init --grant " + quoteArg(l.cfg.User()) + " URL"
}

func quoteArg(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// host looks at what this host knows.
func (c *check) host(ctx context.Context) error {
	l := c.ledger
	known, err := l.knownID()
	switch {
	case err != nil:
		c.add(LevelFault, "host", "%s", dsn.Text(err))
		return nil
	case known == (wire.UUID{}):
		c.add(LevelOK, "host", "this host has not used ledger %s yet", uuid.UUID(c.meta.ledger))
		return nil
	case known != c.meta.ledger:
		c.add(LevelFault, "host", "%v; it is ledger %s, and was %s", errOther, uuid.UUID(c.meta.ledger), uuid.UUID(known)).hint("%s", l.call("confirm"))
		return nil
	}
	here, err := l.openLocal(ctx, false)
	if err != nil {
		c.add(LevelFault, "host", "%v", err)
		return nil
	}
	var kept []string
	if here != nil {
		if err := l.checkWitness(ctx, here.lastWitness()); errors.Is(err, errForgotten) {
			c.add(LevelFault, "host", "%v", err).hint("%s", l.call("confirm"))
		} else if err != nil && !errors.Is(err, errWitnessGone) {
			return err
		}
		if kept, err = here.pending(); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		c.add(LevelWarning, "host", "outcomes of this host that are not sent yet: %d", len(kept)).hint("%s", l.call("sync"))
	}
	c.add(LevelOK, "host", "this host uses ledger %s", uuid.UUID(known))
	return nil
}
