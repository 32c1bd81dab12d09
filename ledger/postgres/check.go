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
func Check(ctx context.Context, place string, o ConnectOptions) (ledger.Report, error) {
	l, err := o.open(place)
	if err != nil {
		return ledger.Report{}, err
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
	ledger.Report
	ledger *Ledger
	meta   meta
	owner  string // of the tables; "" if there are none
	over   bool   // the rest cannot be looked at
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
	pooler := string(row[0]) != strconv.Itoa(int(conn.PID()))
	if _, err = conn.Exec(ctx, "begin").ReadAll(); err == nil {
		_, err = conn.Exec(ctx, "rollback").ReadAll()
	}
	switch {
	case dsn.Class(err) == dsn.Pooling:
		c.Add(ledger.LevelFault, "pooler", "%s", dsn.Text(err)).SetHint(poolingHint)
	case err != nil:
		return err
	case pooler:
		c.Add(ledger.LevelOK, "pooler", "a pooler is between this host and the server")
	default:
		c.Add(ledger.LevelOK, "pooler", "none").SetHint("many calls are faster with PgBouncer in its transaction mode")
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
		c.Add(ledger.LevelOK, "tls", "%s", tls.VersionName(state.ConnectionState().Version))
	case !remote:
		c.Add(ledger.LevelOK, "tls", "none; the server is on this host")
	case ip.IP.IsLoopback():
		c.Add(ledger.LevelOK, "tls", "none; the server, or a pooler, is on this host")
	default:
		c.Add(ledger.LevelWarning, "tls", "none: keys, outputs and passwords can be read in the network").SetHint("sslmode=verify-full")
	}
}

// clock adds a line about the server's clock, which is ahead by d, known to half of took.
func (c *check) clock(d, took time.Duration) {
	level, where := ledger.LevelOK, "ahead of"
	if d < 0 {
		d, where = -d, "behind"
	}
	switch distance := d - took/2; {
	case distance > clockWarning:
		level = ledger.LevelWarning
	case distance > clockNote:
		level = ledger.LevelNote
	}
	line := c.Add(level, "clock", "the server's clock is %v %s that of this host", d.Round(time.Millisecond), where)
	if level == ledger.LevelWarning {
		line.SetHint("claims do not depend on it, but a policy about the age of a success does: synchronize both clocks")
	}
}

// server looks at the version and the state of the server.
func (c *check) server(ctx context.Context) error {
	l := c.ledger
	var version string
	var number int64
	var standby, readOnly, synchronous bool
	s := l.stmt(`select pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::pg_catalog.int8,
		pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.current_setting('fsync') = 'on',
		coalesce((select pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text from pg_catalog.pg_class c, pg_catalog.pg_namespace n
			where c.relnamespace = n.oid and n.nspname = $1 and c.relname = 'meta'), '')`, wire.Text(l.cfg.Schema))
	s.Each = func(row *wire.Row) error {
		version, number, standby, readOnly, synchronous, c.owner = row.Text(), row.Int(), row.Bool(), row.Bool(), row.Bool(), row.Text()
		return nil
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return err
	}
	switch {
	case number < oldestServer:
		c.Add(ledger.LevelFault, "server", "PostgreSQL %s; idem requires %d", version, oldestServer/10000)
		c.over = true
	case standby:
		c.Add(ledger.LevelFault, "server", "PostgreSQL %s, a standby: nothing can be recorded", version).SetHint("name the primary, or all hosts: postgres://USER@HOST1,HOST2/DATABASE")
	case readOnly:
		c.Add(ledger.LevelFault, "server", "PostgreSQL %s, read-only: nothing can be recorded", version).SetHint("alter role ... set default_transaction_read_only = off")
	default:
		c.Add(ledger.LevelOK, "server", "PostgreSQL %s", version)
	}
	if !synchronous {
		c.Add(ledger.LevelWarning, "fsync", "off: a power cut of the server can lose successes").SetHint("fsync = on")
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
		c.Add(ledger.LevelFault, "tables", "there is no ledger in schema %s", l.cfg.Schema).SetHint("as the role that shall own it: %s", l.call("init"))
		return nil
	case errors.Is(err, ledger.ErrDenied):
		c.over = true
		c.Add(ledger.LevelFault, "rights", "role %s may not use the ledger", l.cfg.User()).SetHint("as the owner: %s", c.grantHint())
		return nil
	case err != nil:
		return err
	}
	switch {
	case m.ledger == wire.UUID{}:
		c.over = true
		c.Add(ledger.LevelFault, "tables", "the table meta is empty")
		return nil
	case m.minReader > format:
		c.Add(ledger.LevelFault, "format", "%d; this idem can neither read nor write it", m.format).SetHint("install a newer idem")
		c.over = true
	case m.minWriter > format:
		c.Add(ledger.LevelFault, "format", "%d; this idem can only read it", m.format).SetHint("install a newer idem")
	case m.format < format:
		c.Add(ledger.LevelNote, "format", "%d; this idem has format %d", m.format, format).SetHint("as the owner: %s", c.asOwner("upgrade"))
	default:
		c.Add(ledger.LevelOK, "format", "%d", m.format)
	}
	switch {
	case m.timeline == 0 || m.timeline == m.confirmed:
		c.Add(ledger.LevelOK, "timeline", "%d", m.confirmed)
	case m.failover == FailoverAccept:
		c.Add(ledger.LevelNote, "timeline", "%d, after a promotion or a restore; confirmed: %d", m.timeline, m.confirmed)
	default:
		c.Add(ledger.LevelFault, "timeline", "%d, after a promotion or a restore; confirmed: %d: no key is started", m.timeline, m.confirmed).
			SetHint("when the lost keys are settled, as the owner: %s", c.asOwner("confirm"))
	}
	if !same {
		c.Add(ledger.LevelWarning, "system", "the tables were copied from another database system: successes since the copy may be missing").
			SetHint("as the owner: %s", c.asOwner("confirm"))
	}
	reportFailover(&c.Report, m.failover, synchronous, c.asOwner)
	return nil
}

// call is a call of idem ledger for the URL.
func (l *Ledger) call(how string) string {
	return "idem ledger " + how + " " + quoteArg(l.cfg.Canonical)
}

// asOwner is a call of idem ledger by the owner of the tables.
func (c *check) asOwner(how string) string {
	if c.owner == "" {
		return c.ledger.call(how)
	}
	return "idem ledger " + how + " " + quoteArg(c.ledger.cfg.As(c.owner))
}

// grantHint is the call by which the owner grants the role its rights.
func (c *check) grantHint() string { return c.asOwner("init --grant " + quoteArg(c.ledger.cfg.User())) }

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
		c.Add(ledger.LevelFault, "host", "%v", err)
		return nil
	case known == (wire.UUID{}):
		c.Add(ledger.LevelOK, "host", "this host has not used ledger %s yet", uuid.UUID(c.meta.ledger))
		return nil
	case known != c.meta.ledger:
		c.Add(ledger.LevelFault, "host", "%v; it is ledger %s, and was %s", errOther, uuid.UUID(c.meta.ledger), uuid.UUID(known)).SetHint("%s", l.call("confirm"))
		return nil
	}
	here, err := l.openLocal(ctx, false)
	if err != nil {
		c.Add(ledger.LevelFault, "host", "%v", err)
		return nil
	}
	var kept []string
	if here != nil {
		if err := l.checkWitness(ctx, here.lastWitness()); errors.Is(err, errForgotten) {
			c.Add(ledger.LevelFault, "host", "%v", err).SetHint("%s", l.call("confirm"))
		} else if err != nil && !errors.Is(err, errWitnessGone) {
			return err
		}
		if kept, err = here.pending(); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		c.Add(ledger.LevelWarning, "host", "outcomes of this host that are not sent yet: %d", len(kept)).SetHint("%s", l.call("sync"))
	}
	c.Add(ledger.LevelOK, "host", "this host uses ledger %s", uuid.UUID(known))
	return nil
}
