package postgres

import (
	"context"
	"crypto/rand"
	_ "embed"
	"strings"

	"github.com/google/uuid"

	"idem/ledger/postgres/wire"
)

//go:embed schema.sql
var schemaSQL string

// InitOptions are the options of Init.
type InitOptions struct {
	ConnectOptions
	Grant     []string // roles that may use the ledger
	GrantDone []string // roles that may only record their own success
	Failover  string   // FailoverRefuse, FailoverAccept; empty: by the configuration of the server
}

// Init creates the tables of a ledger, unless they exist, and grants rights. It is the only
// function that needs more than the rights to read and change rows.
func Init(ctx context.Context, place string, o InitOptions) (r Report, err error) {
	l, err := o.open(place)
	if err != nil {
		return r, err
	}
	defer l.Close()
	return r, l.tx(ctx, wire.Durable, func(t *wire.Tx) error { return l.initialize(t, o) })
}

// initLock is the key of the lock under which one session at a time creates tables.
const initLock = 0x6964656d

func (l *Ledger) initialize(t *wire.Tx, o InitOptions) error {
	var exists bool
	look := l.stmt("select pg_catalog.to_regclass($1::pg_catalog.text) is not null", wire.Text(l.schema.Replace("{s}.meta")))
	look.Each = func(row *wire.Row) error { exists = row.Bool(); return nil }
	lock := l.stmt("select pg_catalog.pg_advisory_xact_lock($1)", wire.Int(initLock))
	if err := t.Do(lock); err != nil {
		return err
	}
	if err := t.Do(look); err != nil {
		return err
	}
	if !exists {
		if err := l.create(t, o); err != nil {
			return err
		}
	}
	for _, role := range o.Grant {
		if err := l.grant(t, role); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) create(t *wire.Tx, o InitOptions) error {
	stmts := []*wire.Stmt{l.stmt("create schema if not exists {s}")}
	for _, sql := range statements(schemaSQL) {
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
		select $1, $2, $2, $2, `+timelineNow+`, (select system_identifier from pg_catalog.pg_control_system()), `+failover+`, $3, pg_catalog.clock_timestamp()`, args...))
	return t.Do(stmts...)
}

// statements splits a script at the semicolons that end a line.
func statements(script string) (all []string) {
	var b strings.Builder
	for line := range strings.Lines(script) {
		code, _, _ := strings.Cut(line, "--")
		b.WriteString(strings.TrimRight(code, " \t\n") + "\n")
		if s := strings.TrimSpace(b.String()); strings.HasSuffix(s, ";") {
			all = append(all, strings.TrimSuffix(s, ";"))
			b.Reset()
		}
	}
	return all
}

// grant gives a role the right to read and change rows, and no more.
func (l *Ledger) grant(t *wire.Tx, role string) error {
	r := quoteName(role)
	return t.Do(
		l.stmt("grant usage on schema {s} to "+r),
		l.stmt("grant select on {s}.meta to "+r),
		l.stmt("grant select, insert, update, delete on {s}.record, {s}.attempt, {s}.output, {s}.file, {s}.late, {s}.mutex to "+r),
		l.stmt("grant usage on sequence {s}.number to "+r),
	)
}
