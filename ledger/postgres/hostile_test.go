package postgres

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/google/uuid"

	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
)

//go:embed testdata/hostile.sql
var hostileSQL string

// hostile has roles whose search_path begins with a schema of another user, with functions,
// operators, types and tables that have the names of those that a ledger uses. None must be
// called. Other settings of the roles change texts of values, and the isolation.
func hostile(t *testing.T) access {
	s := pgtest.Shared(t)
	evil := "evil_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	sql := func(text string) string {
		return strings.NewReplacer("{evil}", evil, "{database}", pgtest.Database).Replace(text)
	}
	s.Exec(t, sql(hostileSQL))
	t.Cleanup(func() {
		if n := s.Query(t, sql("select case when is_called then last_value else 0 end from {evil}.calls")); n != "0" {
			t.Errorf("functions of another schema were called %s times", n)
		}
	})
	return access{s, evil + "_owner", evil + "_ci", func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }}
}

// TestHostileSchemaIsFirst checks the kit: a statement that relies on search_path calls a function
// of the other schema.
func TestHostileSchemaIsFirst(t *testing.T) {
	a := hostile(t)
	for _, sql := range []string{
		"select now()", "select clock_timestamp()", "select count(*) from (values (1)) v", "select nextval('number')",
		"select '\\x01'::pg_catalog.bytea = '\\x01'::pg_catalog.bytea", "select 'a'::pg_catalog.text = 'b'",
		"select pg_catalog.now() < pg_catalog.now()", "select 1 + 1",
	} {
		before := a.server.Query(t, "select last_value, is_called from "+strings.TrimSuffix(a.user, "_ci")+".calls")
		if _, err := a.server.Try(a.user, sql); err == nil {
			t.Errorf("%s: no error", sql)
		}
		if a.server.Query(t, "select last_value, is_called from "+strings.TrimSuffix(a.user, "_ci")+".calls") == before {
			t.Errorf("%s: no call", sql)
		}
	}
	a.server.Exec(t, "select pg_catalog.setval('"+strings.TrimSuffix(a.user, "_ci")+".calls', 1, false)")
}

// TestSettingsOfARole: no statement of a ledger is cancelled by a statement_timeout, and none is compiled. The
// statistics of a new table make a plan look so costly that a server would compile it by default, which takes
// longer than the statement.
func TestSettingsOfARole(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	user := r.role()
	r.init(InitOptions{Grant: []string{user}})
	r.server.Exec(t, "alter role "+user+" set statement_timeout = '1min'; alter role "+user+" set jit = on")
	l := r.open(user)
	for _, mode := range []wire.Mode{wire.Read, wire.Lazy, wire.Durable} {
		for name, want := range map[string]string{"statement_timeout": "0", "jit": "off"} {
			got := ""
			s := l.stmt("select pg_catalog.current_setting('" + name + "')")
			s.Each = func(row *wire.Row) error { got = row.Text(); return nil }
			must(t, l.do(t.Context(), mode, s))
			if got != want {
				t.Errorf("mode %d: got %s %q, want %q", mode, name, got, want)
			}
		}
	}
}
