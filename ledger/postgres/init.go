package postgres

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

//go:embed schema.sql
var schemaSQL string

// ConnectOptions are the options of operations about a whole ledger. See Options.
type ConnectOptions struct {
	LocalBase      string
	FromFlag       bool
	TrustPlace     bool
	ConnectTimeout time.Duration
}

func (o ConnectOptions) open(place string) (*Ledger, error) {
	return Open(place, Options{
		LocalBase: o.LocalBase, FromFlag: o.FromFlag, TrustPlace: o.TrustPlace, ConnectTimeout: o.ConnectTimeout,
	})
}

// InitOptions are the options of Init.
type InitOptions struct {
	ConnectOptions
	Grant     []string // roles that may use the ledger
	GrantDone []string // roles that may only record their own success
	Failover  string   // FailoverRefuse, FailoverAccept; empty: by the configuration of the server
}

// Init creates the tables of a ledger, unless they exist, and grants rights. It needs more than
// the rights to read and change rows, like Upgrade and Confirm. A further call with another
// Failover changes that.
func Init(ctx context.Context, place string, o InitOptions) (r ledger.Report, err error) {
	l, err := o.open(place)
	if err != nil {
		return r, err
	}
	defer l.Close()
	err = l.administer(ctx, func(t *wire.Tx) (err error) {
		r, err = l.initialize(t, o)
		return err
	})
	if err != nil {
		return ledger.Report{}, err
	}
	return r, nil
}

// administer makes a transaction that changes tables. Only one does so at a time. It does not
// wait for long, because other calls wait behind it.
func (l *Ledger) administer(ctx context.Context, f func(t *wire.Tx) error) error {
	return l.tx(ctx, wire.Durable, func(t *wire.Tx) error {
		err := t.Do(l.stmt("select pg_catalog.set_config('lock_timeout', '5s', true)"), l.stmt("select pg_catalog.pg_advisory_xact_lock($1)", wire.Int(l.lockKey("", ""))))
		if err != nil {
			return err
		}
		return f(t)
	})
}

// oldestServer is the first version of PostgreSQL that has what idem needs, as in
// server_version_num.
const oldestServer = 120000

func (l *Ledger) initialize(t *wire.Tx, o InitOptions) (r ledger.Report, err error) {
	var version int64
	var exists bool
	look := l.stmt("select pg_catalog.current_setting('server_version_num')::pg_catalog.int8, pg_catalog.to_regclass($1::pg_catalog.text) is not null",
		wire.Text(l.schema.Replace("{s}.meta")))
	look.Each = func(row *wire.Row) error { version, exists = row.Int(), row.Bool(); return nil }
	if err := t.Do(look); err != nil {
		return r, err
	}
	if version < oldestServer {
		return r, fmt.Errorf("the server is too old: idem requires PostgreSQL %d", oldestServer/10000)
	}
	created := "exists"
	if !exists {
		created = "was created"
		if err := l.create(t, o); err != nil {
			return r, err
		}
	}
	m, err := l.readMetaIn(t)
	if err != nil {
		return r, err
	}
	switch {
	case m.minWriter > format:
		return r, m.tooNew()
	case m.format < format:
		r.Add(ledger.LevelWarning, "ledger", "%s, in format %d; this idem has format %d", created, m.format, format).SetHint("%s", l.call("upgrade"))
	default:
		r.Add(ledger.LevelOK, "ledger", "%s in schema %s, in format %d", created, l.cfg.Schema, m.format)
	}
	if err := l.setFailover(t, &r, m, o.Failover); err != nil {
		return r, err
	}
	for _, role := range o.Grant {
		if err := l.grant(t, role); err != nil {
			return r, err
		}
		r.Add(ledger.LevelOK, "grant", "role %s may use the ledger", role)
	}
	for _, role := range o.GrantDone {
		if err := l.grantDone(t, role); err != nil {
			return r, err
		}
		r.Add(ledger.LevelOK, "grant-done", "role %s may call %s", role, l.schema.Replace("{s}.done"))
	}
	return r, nil
}

// readMetaIn reads the row of meta in a transaction of administer, whose lock suffices.
func (l *Ledger) readMetaIn(t *wire.Tx) (m meta, err error) {
	err = t.Do(l.metaStmt(&m))
	if err == nil && m.ledger == (wire.UUID{}) {
		err = fmt.Errorf("%w: the table meta is empty", ledger.ErrCorrupt)
	}
	return m, err
}

// setFailover stores what happens after a promotion, if it changes. It adds a line that says
// whether this fits the replication of the server.
func (l *Ledger) setFailover(t *wire.Tx, r *ledger.Report, m meta, failover string) error {
	if failover != "" && failover != m.failover {
		if err := t.Do(l.stmt("update {s}.meta set failover = $1", wire.Text(failover))); err != nil {
			return err
		}
		r.Add(ledger.LevelOK, "changed", "failover is %s; it was %s", failover, m.failover)
		m.failover = failover
	}
	var synchronous bool
	s := l.stmt(synchronousSQL)
	s.Each = func(row *wire.Row) error { synchronous = row.Bool(); return nil }
	if err := t.Do(s); err != nil {
		return err
	}
	reportFailover(r, m.failover, synchronous, l.call)
	return nil
}

// synchronousSQL reports whether a commit waits for a standby.
const synchronousSQL = "select pg_catalog.current_setting('synchronous_standby_names') <> ''"

// reportFailover adds a line about what happens after a promotion. call makes a call of idem ledger.
func reportFailover(r *ledger.Report, policy string, synchronous bool, call func(how string) string) {
	switch {
	case policy == FailoverAccept && !synchronous:
		r.Add(ledger.LevelWarning, "failover", "accept, but no standby is synchronous: after a promotion, keys that had succeeded may run again").
			SetHint("set synchronous_standby_names, or as the owner: %s", call("init --failover refuse"))
	case policy == FailoverAccept:
		r.Add(ledger.LevelOK, "failover", "accept: a synchronous standby has each success, so calls go on after a promotion")
	case synchronous:
		r.Add(ledger.LevelNote, "failover", "refuse: after a promotion, no key is started until idem ledger confirm, although a standby is synchronous").
			SetHint("if only that standby is ever promoted, as the owner: %s", call("init --failover accept"))
	default:
		r.Add(ledger.LevelOK, "failover", "refuse: after a promotion, no key is started until idem ledger confirm")
	}
}

func (l *Ledger) create(t *wire.Tx, o InitOptions) error {
	stmts := []*wire.Stmt{l.stmt("create schema if not exists {s}")}
	for _, sql := range append(statements(schemaSQL), statements(doneSQL)...) {
		stmts = append(stmts, l.stmt(sql))
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	failover := `case when pg_catalog.current_setting('synchronous_standby_names') <> '' then 'accept' else 'refuse' end`
	args := []wire.Arg{wire.ID(wire.UUID(uuid.New())), wire.Int(format), wire.Bytes(secret)}
	if o.Failover != "" {
		failover = "$4"
		args = append(args, wire.Text(o.Failover))
	}
	stmts = append(stmts, l.stmt(`insert into {s}.meta (ledger, format, min_reader, min_writer, timeline, system, failover, secret, made)
		select $1, $2, $2, $2, `+timelineNow+`, `+systemNow+`, `+failover+`, $3, pg_catalog.clock_timestamp()`, args...))
	return t.Do(stmts...)
}

// systemNow identifies the database system: the server with its standbys.
const systemNow = "(select system_identifier from pg_catalog.pg_control_system())"

// statements splits a script at the semicolons that end a line, but for those in bodies of
// functions.
func statements(script string) (all []string) {
	var b strings.Builder
	for line := range strings.Lines(script) {
		code, _, _ := strings.Cut(line, "--")
		b.WriteString(strings.TrimRight(code, " \t\n") + "\n")
		s := strings.TrimSpace(b.String())
		if strings.HasSuffix(s, ";") && strings.Count(s, "$$")%2 == 0 {
			all = append(all, strings.TrimSuffix(s, ";"))
			b.Reset()
		}
	}
	return all
}

// rowTables are the tables whose rows a role of Grant reads and changes.
var rowTables = []string{"record", "attempt", "output", "file", "late", "mutex"}

// grant gives a role the right to read and change rows, and no more.
func (l *Ledger) grant(t *wire.Tx, role string) error {
	r := quoteName(role)
	err := t.Do(
		l.stmt("grant usage on schema {s} to "+r),
		l.stmt("grant select on {s}.meta to "+r),
		l.stmt("grant select, insert, update, delete on {s}."+strings.Join(rowTables, ", {s}.")+" to "+r),
		l.stmt("grant usage on sequence {s}.number to "+r),
	)
	if err != nil {
		return err
	}
	if err := l.granted(t, role, "has_table_privilege", "{s}.record", "insert"); err != nil {
		return err
	}
	return l.grantDone(t, role)
}

// granted checks that a role has a right by a function of PostgreSQL, which only warns if this
// role may not grant the right.
func (l *Ledger) granted(t *wire.Tx, role, function, object, right string) (err error) {
	has := false
	look := l.stmt("select pg_catalog."+function+"($1::pg_catalog.text::pg_catalog.name, $2::pg_catalog.text, $3::pg_catalog.text)",
		wire.Text(role), wire.Text(l.schema.Replace(object)), wire.Text(right))
	look.Each = func(row *wire.Row) error { has = row.Bool(); return nil }
	if err = t.Do(look); err == nil && !has {
		err = fmt.Errorf("%w: only the owner of the tables can grant rights", ledger.ErrDenied)
	}
	return err
}

// grantDone gives a role the right to call done, and no right on a table.
func (l *Ledger) grantDone(t *wire.Tx, role string) error {
	r := quoteName(role)
	err := t.Do(l.stmt("grant usage on schema {s} to "+r), l.stmt("grant execute on function "+doneName+" to "+r))
	if err != nil {
		return err
	}
	return l.granted(t, role, "has_function_privilege", doneName, "execute")
}

const doneName = "{s}.done(uuid, bigint)"
