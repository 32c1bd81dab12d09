package postgres

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
)

// adminRoom has a schema without a ledger, and further roles.
type adminRoom struct {
	*testing.T
	server *pgtest.Server
	schema string
	base   string
}

func newAdminRoom(t *testing.T, server *pgtest.Server) adminRoom {
	return adminRoom{t, server, server.NewSchema(t), filepath.Join(t.TempDir(), "idem")}
}

func (r adminRoom) url(user string) string {
	return r.server.URL(user, pgtest.Database, r.schema)
}

func (r adminRoom) options() ConnectOptions { return ConnectOptions{LocalBase: r.base} }

// init makes a call of Init as the owner.
func (r adminRoom) init(o InitOptions) ledger.Report {
	r.Helper()
	o.ConnectOptions = r.options()
	report, err := Init(r.Context(), r.url(pgtest.Owner), o)
	must(r, err)
	return report
}

// role makes a role that can log in.
func (r adminRoom) role() string {
	name := "r_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	r.server.Exec(r, "create role "+name+" login")
	r.Cleanup(func() { r.server.Exec(r, "drop owned by "+name+"; drop role "+name) })
	return name
}

func (r adminRoom) check(user string) ledger.Report {
	r.Helper()
	report, err := Check(r.Context(), r.url(user), r.options())
	must(r, err)
	return report
}

func (r adminRoom) open(user string) *Ledger {
	l, err := Open(r.url(user), Options{LocalBase: r.base})
	must(r, err)
	r.Cleanup(func() { _ = l.Close() })
	return l
}

// claims makes a claim and gives it back.
func (r adminRoom) claims(user string) error {
	c, err := r.open(user).Claim(r.Context(), testID)
	if err == nil {
		err = c.Release()
	}
	return err
}

// want checks that a report has a line, and no fault but that one.
func (r adminRoom) want(report ledger.Report, level, name, text string) {
	r.Helper()
	found := false
	for _, l := range report.Lines {
		is := l.Level == level && l.Name == name && strings.Contains(l.Text, text)
		found = found || is
		if l.Level == ledger.LevelFault && !is {
			r.Errorf("got the fault %+v", l)
		}
	}
	if !found {
		r.Errorf("got %+v, want a line %q %q %q", report.Lines, level, name, text)
	}
}

// wantHint checks that a line with a name has a hint.
func (r adminRoom) wantHint(report ledger.Report, name, hint string) {
	r.Helper()
	for _, l := range report.Lines {
		if l.Name == name && strings.Contains(l.Hint, hint) {
			return
		}
	}
	r.Errorf("got %+v, want a line %q with the hint %q", report.Lines, name, hint)
}

// wantKind checks an error of a ledger.
func (r adminRoom) wantKind(err, kind error) {
	r.Helper()
	if !errors.Is(err, kind) {
		r.Errorf("got error %v, want %v", err, kind)
	}
}

// TestInitOnce makes several calls of Init at the same time.
func TestInitOnce(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for range 4 {
		wg.Go(func() {
			report := r.init(InitOptions{Grant: []string{pgtest.CI}})
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(report.Lines[0].Text, "was created") {
				created++
			}
		})
	}
	wg.Wait()
	if created != 1 {
		t.Errorf("got %d creations, want 1", created)
	}
	if got := r.server.Query(t, "select count(*) from "+r.schema+".meta"); got != "1" {
		t.Errorf("got %s rows of meta, want 1", got)
	}
	must(t, r.claims(pgtest.CI))
}

// TestRightsOfRoles tries what roles of --grant and --grant-done may do, and what not.
func TestRightsOfRoles(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	caller, odd := r.role(), `odd "r'ole`+uuid.NewString()
	r.server.Exec(t, "create role "+quoteName(odd))
	t.Cleanup(func() { r.server.Exec(t, "drop owned by "+quoteName(odd)+"; drop role "+quoteName(odd)) })
	r.init(InitOptions{Grant: []string{pgtest.CI, odd}, GrantDone: []string{caller}})
	stranger := r.role()
	for user, tries := range map[string]map[string]bool{
		pgtest.CI: {
			"select * from {s}.meta": true, "delete from {s}.record": true, "select nextval('{s}.number')": true,
			"update {s}.meta set failover = 'accept'": false, "truncate {s}.record": false, "create table {s}.x ()": false,
			"drop table {s}.late": false, "select * from {s}.doing": false, "insert into {s}.doing values (1, '', 1)": false,
			"select {s}.token_of('', '', '', 1)": false,
		},
		caller: {
			"select * from {s}.meta": false, "select * from {s}.record": false, "select nextval('{s}.number')": false,
			"insert into {s}.doing values (1, '', 1)": false, "select {s}.uvarint(1)": false,
		},
		stranger: {"select * from {s}.meta": false, "select {s}.done(null, null)": false},
	} {
		for sql, may := range tries {
			if _, err := r.server.Try(user, "begin; "+strings.ReplaceAll(sql, "{s}", r.schema)+"; rollback"); (err == nil) != may {
				t.Errorf("%s: %s: got error %v, want success: %v", user, sql, err, may)
			}
		}
	}
	c, err := r.open(pgtest.CI).Claim(t.Context(), testID)
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString()})
	must(t, err)
	k := doneKit{&mutexKit{T: t, server: r.server, schema: r.schema}}
	if _, err := r.server.Try(caller, k.done(testID, x)); err != nil {
		t.Errorf("done as a role of --grant-done: %v", err)
	}
}

func TestInitIsRefused(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	_, err := Init(t.Context(), r.url(pgtest.CI), InitOptions{ConnectOptions: r.options()})
	r.wantKind(err, ledger.ErrDenied)
	if _, err = Init(t.Context(), r.url(pgtest.Owner), InitOptions{ConnectOptions: r.options(), Grant: []string{"nobody here"}}); err == nil {
		t.Error("a grant to a role that does not exist: got no error")
	}
	if got := r.server.Query(t, "select count(*) from pg_namespace where nspname = '"+r.schema+"'"); got != "0" {
		t.Error("the schema was created nevertheless")
	}
	r.init(InitOptions{})
	r.server.Exec(t, "update "+r.schema+".meta set format = 9, min_reader = 9, min_writer = 9")
	_, err = Init(t.Context(), r.url(pgtest.Owner), InitOptions{ConnectOptions: r.options()})
	r.wantKind(err, ledger.ErrVersion)
}

// TestFailoverFitsTheReplication calls Init with each policy, with and without a synchronous standby.
func TestFailoverFitsTheReplication(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	r := newAdminRoom(t, server)
	r.want(r.init(InitOptions{}), ledger.LevelOK, "failover", "refuse")
	changed := r.init(InitOptions{Failover: FailoverAccept})
	r.want(changed, ledger.LevelOK, "changed", "failover is accept; it was refuse")
	r.want(changed, ledger.LevelWarning, "failover", "no standby is synchronous")
	r.want(r.init(InitOptions{}), ledger.LevelWarning, "failover", "accept")
	server.Standby(t, pgtest.StandbyOptions{Sync: true})
	r.want(r.init(InitOptions{}), ledger.LevelOK, "failover", "accept")
	r.want(r.init(InitOptions{Failover: FailoverRefuse}), ledger.LevelNote, "failover", "refuse")
	other := newAdminRoom(t, server)
	other.want(other.init(InitOptions{}), ledger.LevelOK, "failover", "accept")
	server.Unsync(t)
}

// TestConfirmAfterAPromotion: nothing is started until the owner confirms, once for all hosts.
func TestConfirmAfterAPromotion(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	r := newAdminRoom(t, server)
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	must(t, r.claims(pgtest.CI))
	standby := server.Standby(t, pgtest.StandbyOptions{})
	server.CaughtUp(t, standby)
	r.server = standby
	r.want(r.check(pgtest.CI), ledger.LevelFault, "server", "a standby")
	_, err := Confirm(t.Context(), r.url(pgtest.Owner), r.options())
	r.wantKind(err, ledger.ErrReadOnly)
	standby.Promote(t)
	r.want(r.check(pgtest.CI), ledger.LevelFault, "timeline", "2, after a promotion or a restore; confirmed: 1")
	r.wantKind(r.claims(pgtest.CI), ledger.ErrFailedOver)
	_, err = Confirm(t.Context(), r.url(pgtest.CI), r.options())
	r.wantKind(err, ledger.ErrDenied)
	if err == nil || !strings.Contains(err.Error(), "owns the tables") {
		t.Errorf("got error %v, want one that says who may confirm", err)
	}
	report, err := Confirm(t.Context(), r.url(pgtest.Owner), r.options())
	must(t, err)
	r.want(report, ledger.LevelOK, "timeline", "2 is confirmed for all hosts; it was 1")
	must(t, r.claims(pgtest.CI))
	report, err = Confirm(t.Context(), r.url(pgtest.CI), r.options())
	must(t, err)
	r.want(report, ledger.LevelOK, "timeline", "nothing to do")
	r.want(r.check(pgtest.CI), ledger.LevelOK, "timeline", "2")
}

// TestConfirmAnotherLedger: the tables at a URL were dropped and made again.
func TestConfirmAnotherLedger(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	must(t, r.claims(pgtest.CI))
	r.server.Exec(t, "drop schema "+r.schema+" cascade")
	r.want(r.check(pgtest.CI), ledger.LevelFault, "tables", "there is no ledger")
	r.init(InitOptions{Grant: []string{pgtest.CI}})
	r.wantKind(r.claims(pgtest.CI), ledger.ErrFailedOver)
	r.want(r.check(pgtest.CI), ledger.LevelFault, "host", "another ledger")
	report, err := Confirm(t.Context(), r.url(pgtest.CI), r.options()) // no right of the owner is needed
	must(t, err)
	r.want(report, ledger.LevelOK, "host", "is confirmed for this host")
	must(t, r.claims(pgtest.CI))
	r.want(r.check(pgtest.CI), ledger.LevelOK, "host", "this host uses ledger")
}

// TestUpgrade makes an artificial step to format 2.
func TestUpgrade(t *testing.T) {
	r := newAdminRoom(t, pgtest.Shared(t))
	user := r.role()
	r.init(InitOptions{Grant: []string{pgtest.CI, user}})
	report, err := Upgrade(t.Context(), r.url(pgtest.Owner), r.options())
	must(t, err)
	r.want(report, ledger.LevelOK, "format", "1; nothing to do")
	l := r.open(pgtest.Owner)
	c, x := begin(t, l, 0)
	finish(t, c, x)
	upgrade := func(script string) error {
		return l.administer(t.Context(), func(t *wire.Tx) (err error) {
			report, err = l.upgrade(t, []step{{to: 2, script: script, minReader: 1, minWriter: 2}}, 2)
			return err
		})
	}
	if err := upgrade("create table {s}.extra (); -- new\nselect 1/0;"); err == nil {
		t.Error("a step that fails: got no error")
	}
	r.want(r.check(pgtest.CI), ledger.LevelOK, "format", "1")
	r.server.Exec(t, "revoke delete on "+r.schema+".late from "+user)
	must(t, upgrade("alter table {s}.record add column more text; -- new\n"))
	r.want(report, ledger.LevelOK, "format", "2; it was 1")
	r.wantKind(r.claims(pgtest.CI), ledger.ErrVersion)
	rec, err := r.open(pgtest.CI).Get(t.Context(), testID) // min_reader
	must(t, err)
	if now := rec.Current; now.RunID != x.Attempt().RunID || now.State != ledger.Succeeded {
		t.Errorf("with a column more, got the attempt %q, %s", now.RunID, now.State)
	}
	r.want(r.check(pgtest.CI), ledger.LevelFault, "format", "2; this idem can only read it")
	if _, err := r.server.Try(user, "delete from "+r.schema+".late"); err != nil {
		t.Errorf("the rights of a role after the step: %v", err)
	}
	must(t, upgrade(""))
	r.want(report, ledger.LevelOK, "format", "2; nothing to do")
	_, err = Upgrade(t.Context(), r.url(pgtest.Owner), r.options())
	r.wantKind(err, ledger.ErrVersion)
}
