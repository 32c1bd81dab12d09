package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// TestCheckOfRoles looks at the lines about rights and settings of roles.
func TestCheckOfRoles(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	user := r.role()
	r.want(r.check(user), ledger.LevelFault, "tables", "there is no ledger")
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	r.want(r.check(pgtest.CI), ledger.LevelOK, "rights", "and no more")
	r.want(r.check(pgtest.Owner), ledger.LevelWarning, "rights", "may change the tables")
	r.want(r.check(pgtest.Superuser), ledger.LevelWarning, "rights", "superuser")
	r.want(r.check(user), ledger.LevelFault, "rights", "may not use the ledger")
	r.init(InitOptions{Grant: []string{user}})
	r.want(r.check(user), ledger.LevelOK, "rights", "and no more")
	r.server.Exec(t, "revoke update on "+r.schema+".late from "+user+"; revoke usage on sequence "+r.schema+".number from "+user)
	lacks := r.check(user)
	r.want(lacks, ledger.LevelFault, "rights", "late: update, number: usage")
	r.wantHint(lacks, "rights", "idem ledger init --grant "+user+" 'postgres://"+pgtest.Owner+"@")
	r.init(InitOptions{Grant: []string{user}})
	r.server.Exec(t, "grant create on schema "+r.schema+" to "+user+"; alter role "+user+" set default_transaction_isolation = 'serializable'")
	report := r.check(user)
	r.want(report, ledger.LevelWarning, "rights", "may change the tables")
	r.want(report, ledger.LevelWarning, "isolation", "serializable")
	r.server.Exec(t, "alter table "+r.schema+".mutex enable row level security")
	r.want(r.check(user), ledger.LevelWarning, "rights", "row security is active in tables: mutex")
	r.server.Exec(t, "alter role "+user+" set default_transaction_read_only = on")
	r.want(r.check(user), ledger.LevelFault, "server", "read-only")
}

// TestCheckFindsADroppedTable: the ledger is damaged, and not missing.
func TestCheckFindsADroppedTable(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	r.server.Exec(t, "drop table "+r.schema+".late, "+r.schema+".record")
	r.want(r.check(pgtest.CI), ledger.LevelFault, "tables", "missing: record, late")
	r.wantKind(r.claims(pgtest.CI), ledger.ErrCorrupt)
}

// TestCheckChangesNothing compares tables and files before and after.
func TestCheckChangesNothing(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	must(t, r.claims(pgtest.CI))
	before := look(t, r.server, r.schema, r.base)
	r.check(pgtest.CI)
	if after := look(t, r.server, r.schema, r.base); after != before {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
}

// TestCheckOfTheWay looks at the lines about the connection, in each way to reach a ledger.
func TestCheckOfTheWay(t *testing.T) {
	for name, want := range map[string]struct{ tls, pooler string }{
		"host": {"none; the server is on this host", "none"}, "pooled": {"none; the server is on this host", "a pooler"}, "tls": {"TLS 1.3", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			a := forms[name].access(t)
			schema := a.server.NewSchema(t)
			must(t, initialize(t.Context(), a.url(a.owner, schema), InitOptions{Grant: []string{a.user}}))
			report, err := Check(t.Context(), a.url(a.user, schema), ConnectOptions{LocalBase: t.TempDir()})
			must(t, err)
			r := adminRoom{T: t}
			r.want(report, ledger.LevelOK, "tls", want.tls)
			r.want(report, ledger.LevelOK, "pooler", want.pooler)
			r.want(report, ledger.LevelOK, "clock", "the server's clock is")
		})
	}
}

// TestCheckFindsACopy: the tables are those of another database system.
func TestCheckFindsACopy(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	r.server.Exec(t, "update "+r.schema+".meta set system = system + 1")
	report := r.check(pgtest.CI)
	r.want(report, ledger.LevelWarning, "system", "copied")
	for _, l := range report.Lines {
		if l.Name == "system" && (!strings.Contains(l.Hint, "idem ledger confirm 'postgres://") || !strings.Contains(l.Hint, r.schema)) {
			t.Errorf("got the hint %q, want a call for the URL", l.Hint)
		}
	}
	done, err := Confirm(t.Context(), r.url(pgtest.Owner), r.options())
	must(t, err)
	r.want(done, ledger.LevelOK, "system", "is confirmed")
	for _, l := range r.check(pgtest.CI).Lines {
		if l.Name == "system" {
			t.Errorf("after Confirm: got %+v", l)
		}
	}
}

// TestConfirmWhatIsForgotten: the tables have lost what this host had recorded.
func TestConfirmWhatIsForgotten(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	c, err := r.open(pgtest.CI).Claim(t.Context(), testID)
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString()})
	must(t, err)
	finish(t, c, x)
	r.server.Exec(t, "delete from "+r.schema+".record")
	r.want(r.check(pgtest.CI), ledger.LevelFault, "host", "forgotten")
	r.wantKind(r.claims(pgtest.CI), ledger.ErrFailedOver)
	report, err := Confirm(t.Context(), r.url(pgtest.CI), r.options())
	must(t, err)
	r.want(report, ledger.LevelOK, "forgotten", "forgotten is confirmed for this host")
	must(t, r.claims(pgtest.CI))
	r.want(r.check(pgtest.CI), ledger.LevelOK, "host", "this host uses ledger")
}

// TestCheckFindsStatementMode: a pooler that gives each statement another connection has no
// transactions of several round trips.
func TestCheckFindsStatementMode(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	p := r.server.Pooler(t, pgtest.PoolerOptions{Conf: map[string]string{"pool_mode": "statement"}})
	report, err := Check(t.Context(), p.URL(pgtest.CI, pgtest.Database, r.schema), r.options())
	must(t, err)
	r.want(report, ledger.LevelFault, "pooler", "statement mode")
	r.wantHint(report, "pooler", "pool_mode = transaction")
	_, err = Init(t.Context(), p.URL(pgtest.Owner, pgtest.Database, r.schema), InitOptions{ConnectOptions: r.options()})
	var e *ledger.Error
	if !errors.As(err, &e) || !strings.Contains(e.Error(), "statement mode") || !strings.Contains(e.Hint, "pool_mode = transaction") {
		t.Errorf("Init: got error %v with hint %q", err, e.Hint)
	}
}
