package dsn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/pgtest"
)

func TestUnixSocket(t *testing.T) {
	s := pgtest.Shared(t)
	place := s.URL(pgtest.CI, pgtest.Database, "")
	want := pgtest.CI + "|idem|UTF8"
	query := "select concat_ws('|', current_user, split_part(current_setting('application_name'), ' ', 1), current_setting('server_encoding'))"
	if got := value(t, place, none(t), query); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	dir, name := filepath.Split(s.Addr().String())
	dir, port := filepath.Clean(dir), strings.TrimPrefix(name, ".s.PGSQL.")
	env := none(t, "PGHOST="+dir, "PGPORT="+port, "PGUSER="+pgtest.CI, "PGDATABASE="+pgtest.Database)
	if got := value(t, "postgres://", env, query); got != want {
		t.Errorf("by the environment: got %s, want %s", got, want)
	}
	services := filepath.Join(t.TempDir(), "services")
	content := fmt.Sprintf("[ledger]\nhost=%s\nport=%s\nuser=%s\ndbname=%s\noptions=-c search_path=x\n", dir, port, pgtest.CI, pgtest.Database)
	if err := os.WriteFile(services, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := value(t, "postgres:///?service=ledger", none(t, "PGSERVICEFILE="+services), query); got != want {
		t.Errorf("by a service: got %s, want %s", got, want)
	}
	if got := value(t, place, none(t), "show search_path"); got != `"$user", public` {
		t.Errorf("search_path: got %s, want that of the server", got)
	}
}

func TestConnectionsOfAPassage(t *testing.T) {
	s := pgtest.Shared(t)
	c, err := dsn.Parse(s.URL(pgtest.CI, pgtest.Database, ""), none(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICE", "not-there")
	t.Setenv("PGHOST", "elsewhere")
	passed, err := dsn.FromPassage(c.Passage())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := passed.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTLSAndPasswords(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{TLS: true})
	place := s.TCPURL(pgtest.CI, pgtest.Database, "")
	passfile := pgtest.PassFile(t)
	home := t.TempDir()
	content, err := os.ReadFile(passfile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(home, "open")
	if err := os.WriteFile(open, content, 0o644); err != nil {
		t.Fatal(err)
	}
	alone := with(t, place, nil)
	withPassword := with(t, place, url.UserPassword(pgtest.CI, pgtest.Password))

	t.Run("ways to give the password", func(t *testing.T) {
		for name, test := range map[string]struct {
			place string
			env   []string
		}{
			"URL":             {withPassword, nil},
			"PGPASSFILE":      {alone, []string{"PGPASSFILE=" + passfile}},
			"passfile":        {with(t, alone, nil, "passfile="+passfile), nil},
			".pgpass":         {alone, []string{"HOME=" + home}},
			"PGPASSWORD":      {alone, []string{"PGPASSWORD=" + pgtest.Password}},
			"command":         {alone, []string{"IDEM_PG_PASSWORD_COMMAND=echo '" + pgtest.Password + "'", "PGPASSWORD=wrong"}},
			"channel binding": {with(t, withPassword, nil, "channel_binding=require", "require_auth=scram-sha-256"), nil},
			"verify-ca":       {with(t, withPassword, nil, "sslmode=verify-ca"), nil},
			"require":         {with(t, withPassword, nil, "sslmode=require"), nil},
			"prefer":          {with(t, withPassword, nil, "sslmode=prefer"), nil},
		} {
			got := value(t, test.place, none(t, test.env...), "select ssl::text from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()")
			if got != "true" {
				t.Errorf("%s: TLS is %s, want true", name, got)
			}
		}
	})
	t.Run("failures", func(t *testing.T) {
		for name, test := range map[string]struct {
			place string
			env   []string
			kind  dsn.Kind
			text  string
			hint  string
		}{
			"wrong password": {
				with(t, place, url.UserPassword(pgtest.CI, "S3CR3T")), nil, dsn.Auth,
				`password authentication failed for user "` + pgtest.CI + `"`, "the log of the server",
			},
			"no password":      {alone, nil, dsn.Auth, "password authentication failed", "no password was found"},
			"open file":        {alone, []string{"PGPASSFILE=" + open}, dsn.Auth, "password authentication failed", "other users can read it"},
			"no such database": {with(t, withPassword, nil, "dbname=nothing"), nil, dsn.NoDatabase, `database "nothing" does not exist`, "create the database"},
			"other name of the host": {
				strings.Replace(withPassword, "127.0.0.1", "0.0.0.0", 1), nil, dsn.TLS, "has another host name", "",
			},
			"no trust":     {with(t, withPassword, nil, "sslrootcert=system"), nil, dsn.TLS, "not signed by an authority that is trusted", "sslrootcert=FILE"},
			"require_auth": {with(t, withPassword, nil, "require_auth=none"), nil, dsn.Auth, "require_auth excludes", ""},
			"command":      {alone, []string{"IDEM_PG_PASSWORD_COMMAND=echo S3CR3T; exit 4"}, dsn.Auth, "failed (exit status 4)", ""},
		} {
			_, err := dial(t, test.place, none(t, test.env...), hang)
			wantFailure(t, err, test.kind, test.text)
			var e *dsn.DialError
			if errors.As(err, &e) && !strings.Contains(e.Hint, test.hint) {
				t.Errorf("%s: got hint %q, want %q", name, e.Hint, test.hint)
			}
		}
	})
}

func TestServerWithoutTLS(t *testing.T) {
	s := pgtest.Shared(t)
	place := s.TCPURL(pgtest.CI, pgtest.Database, "")
	_, err := dial(t, with(t, place, nil, "sslmode=require"), none(t), hang)
	wantFailure(t, err, dsn.TLS, "the server does not support TLS, which sslmode=require requires")
	if got := value(t, strings.Replace(place, "sslmode=disable", "", 1), none(t), "select 1"); got != "1" { // on this host, it may be plain text
		t.Errorf("got %s, want 1", got)
	}
}

// An address of this host that is not a loopback one stands for another host.
func TestOtherHostsRequireTLS(t *testing.T) {
	s := pgtest.Shared(t)
	place := strings.Replace(s.TCPURL(pgtest.CI, pgtest.Database, ""), "127.0.0.1", "0.0.0.0", 1)
	_, err := dial(t, strings.Replace(place, "sslmode=disable", "", 1), none(t), hang)
	wantFailure(t, err, dsn.TLS, "the server does not support TLS, which is required for hosts other than this one")
	if got := value(t, place, none(t), "select 1"); got != "1" {
		t.Errorf("sslmode=disable: got %s, want 1", got)
	}
}

func TestTooManyClientsAreWaitedFor(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{MaxConnections: 5, Conf: map[string]string{"superuser_reserved_connections": "0"}})
	place := s.URL(pgtest.CI, pgtest.Database, "")
	var held []*pgconn.PgConn
	for range 5 {
		conn, err := dial(t, place, none(t), hang)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	_, err := dial(t, place, none(t), brief)
	wantFailure(t, err, dsn.TooMany, "too many clients")

	waiting := make(chan error, 1)
	go func() {
		conn, err := dial(t, place, none(t), hang)
		if err == nil {
			err = conn.Close(context.Background())
		}
		waiting <- err
	}()
	for !strings.Contains(s.Log(t), "too many clients") {
		time.Sleep(10 * time.Millisecond)
	}
	for _, conn := range held {
		_ = conn.Close(t.Context())
	}
	if err := <-waiting; err != nil {
		t.Errorf("got %v, want a connection after the others have ended", err)
	}
}

func TestServerThatStartsIsWaitedFor(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	place := s.URL(pgtest.CI, pgtest.Database, "")
	s.Stop(t, pgtest.Immediate)
	waiting := make(chan error, 1)
	go func() {
		_, err := dial(t, place, none(t), hang)
		waiting <- err
	}()
	s.Start(t)
	if err := <-waiting; err != nil {
		t.Errorf("got %v, want a connection once the server is there", err)
	}
}

func TestHostListFindsTheServerThatCanBeWritten(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{TCP: true})
	standby := s.Standby(t, pgtest.StandbyOptions{})
	ports := func(servers ...*pgtest.Server) string {
		var hosts []string
		for _, s := range servers {
			hosts = append(hosts, "127.0.0.1:"+strconv.Itoa(s.TCPAddr().(*net.TCPAddr).Port))
		}
		return strings.Join(hosts, ",")
	}
	query := "select pg_is_in_recovery()::text"
	list := "postgres://" + pgtest.CI + "@" + ports(standby, s) + "/" + pgtest.Database + "?sslmode=disable"
	for _, place := range []string{list, list + "&target_session_attrs=primary"} {
		if got := value(t, place, none(t), query); got != "false" {
			t.Errorf("%s: recovery is %s, want false", place, got)
		}
	}
	if got := value(t, list+"&target_session_attrs=any", none(t), query); got != "true" {
		t.Errorf("any: recovery is %s, want true: the first host", got)
	}
	alone := "postgres://" + pgtest.CI + "@" + ports(standby) + "/" + pgtest.Database + "?sslmode=disable"
	_, err := dial(t, alone+"&target_session_attrs=read-write", none(t), brief)
	wantFailure(t, err, dsn.ReadOnly, "the server is read-only")

	conn, err := dial(t, alone, none(t), hang) // without a question, until a statement fails
	if err != nil {
		t.Fatal(err)
	}
	err = conn.ExecParams(t.Context(), "create table x ()", nil, nil, nil, nil).Read().Err
	if dsn.Class(err) != dsn.ReadOnly {
		t.Errorf("got %v, want that the server is read-only", err)
	}

	s.Stop(t, pgtest.Immediate)
	_, err = dial(t, list, none(t), brief)
	wantFailure(t, err, dsn.ReadOnly, "connection refused")
	waiting := make(chan error, 1)
	go func() {
		_, err := dial(t, list, none(t), hang)
		waiting <- err
	}()
	standby.Promote(t)
	if err := <-waiting; err != nil {
		t.Errorf("got %v, want a connection to the new primary", err)
	}
}

func TestKindsOfStatements(t *testing.T) {
	s := pgtest.Shared(t)
	conn, err := dial(t, s.URL(pgtest.CI, pgtest.Database, ""), none(t), hang)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]dsn.Kind{
		"select * from nowhere.record":         dsn.NoSchema,
		"select * from record_that_is_missing": dsn.NoSchema,
		"select pg_read_file('PG_VERSION')":    dsn.Denied,
		"select 1/0":                           dsn.Other,
	} {
		err := conn.ExecParams(t.Context(), query, nil, nil, nil, nil).Read().Err
		if dsn.Class(err) != want {
			t.Errorf("%s: got %v (kind %d), want kind %d", query, err, dsn.Class(err), want)
		}
	}
	err = conn.ExecParams(t.Context(), "select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())", nil, nil, nil, nil).Read().Err
	if dsn.Class(err) != dsn.Unreachable {
		t.Errorf("a connection that was ended: got %v, want Unreachable", err)
	}
	err = conn.ExecParams(t.Context(), "select 1", nil, nil, nil, nil).Read().Err
	if dsn.Class(err) != dsn.Unreachable || dsn.Text(err) == "" {
		t.Errorf("a closed connection: got %v, want Unreachable", err)
	}
}

func TestPooler(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	p := s.Pooler(t, pgtest.PoolerOptions{TCP: true, Conf: map[string]string{"max_client_conn": "3"}})
	place := p.URL(pgtest.CI, pgtest.Database, "")
	if got := value(t, place, none(t), "select 7"); got != "7" {
		t.Errorf("got %s, want 7", got)
	}
	var held []*pgconn.PgConn
	for {
		conn, err := dial(t, place, none(t), brief)
		if err != nil {
			wantFailure(t, err, dsn.TooMany, "no more connections allowed")
			break
		}
		if held = append(held, conn); len(held) > 3 {
			t.Fatal("the pooler accepts more clients than it should")
		}
	}
	for _, conn := range held {
		_ = conn.Close(t.Context())
	}
	s.Stop(t, pgtest.Fast)
	// The pooler knows the answer to a login, or lets the client wait for a server.
	conn, err := dial(t, place, none(t), brief)
	if err == nil {
		err = conn.ExecParams(t.Context(), "select 1", nil, nil, nil, nil).Read().Err
	}
	wantFailure(t, err, dsn.Unreachable, "")
}

func TestTLSOnThisHostIfTheServerWantsIt(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{TLS: true, HBA: []string{"hostnossl all all 127.0.0.1/32 reject"}})
	place := with(t, pgtest.URL(s.TCPAddr(), pgtest.CI, pgtest.Database, ""), url.UserPassword(pgtest.CI, pgtest.Password))
	got := value(t, place, none(t), "select ssl::text from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()")
	if got != "true" {
		t.Errorf("TLS is %s, want true", got)
	}
}
