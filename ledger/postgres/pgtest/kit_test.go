package pgtest

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestQuery(t *testing.T) {
	s := Shared(t)
	if got := s.Query(t, "select 1, 'a' union all select 2, null order by 1"); got != "1|a\n2|" {
		t.Errorf("got %q", got)
	}
	if Shared(t) != s {
		t.Error("a second server is shared")
	}
}

// The owner makes a schema, and the other role has no rights in it.
func TestRoles(t *testing.T) {
	s := Shared(t)
	schema := s.NewSchema(t)
	if _, err := s.Try(CI, "create schema "+schema); err == nil {
		t.Error("the role CI makes a schema")
	}
	if _, err := s.Try(Owner, "create schema "+schema+"; create table "+schema+".a ()"); err != nil {
		t.Error(err)
	}
	if _, err := s.Try(CI, "select from "+schema+".a"); err == nil {
		t.Error("the role CI reads a table of another role")
	}
}

func TestLoginByTLS(t *testing.T) {
	s := Start(t, Options{TLS: true})
	connect := func(url string) error {
		c, err := pgconn.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		return c.Close(context.Background())
	}
	t.Setenv("PGPASSFILE", os.DevNull)
	if err := connect(s.TCPURL(CI, Database, "")); err == nil {
		t.Error("logged in without a password")
	}
	t.Setenv("PGPASSFILE", PassFile(t))
	if err := connect(s.TCPURL(CI, Database, "") + "&channel_binding=require"); err != nil {
		t.Error(err)
	}
	other := Start(t, Options{TLS: true})
	url := URL(s.TCPAddr(), CI, Database, "", "sslmode=verify-full", "sslrootcert="+other.CA())
	if err := connect(url); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("with another authority: got %v", err)
	}
}

// A server that crashes keeps what was committed, and its addresses.
func TestStopAndStart(t *testing.T) {
	s := Start(t, Options{TCP: true, Durable: true, MaxConnections: 20, Conf: map[string]string{"work_mem": "3MB"}})
	if got := s.Query(t, "select current_setting('fsync'), current_setting('max_connections'), current_setting('work_mem')"); got != "on|20|3MB" {
		t.Errorf("settings: got %s", got)
	}
	s.Exec(t, "create table a as select 1 as b")
	url := s.TCPURL(CI, Database, "")
	for _, m := range []Mode{Smart, Fast, Immediate} {
		s.Stop(t, m)
		if _, err := s.Try(Superuser, "select 1"); err == nil {
			t.Error("a stopped server answers")
		}
		s.Start(t)
		if got := s.Query(t, "select b from a"); got != "1" {
			t.Errorf("got %q", got)
		}
	}
	if _, err := query(context.Background(), url, "select 1"); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.Log(t), "automatic recovery in progress") {
		t.Error("the immediate stop was no crash")
	}
}

func TestPause(t *testing.T) {
	s := Start(t, Options{})
	s.Pause(t)
	answer := make(chan error, 1)
	go func() {
		_, err := s.Try(Superuser, "select 1")
		answer <- err
	}()
	for _, pid := range s.PIDs(t) {
		if state := stateOf(t, pid); state != "T" {
			t.Errorf("process %d has state %s, want T", pid, state)
		}
	}
	if len(s.PIDs(t)) < 4 {
		t.Errorf("processes: got %v", s.PIDs(t))
	}
	s.Resume(t)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	s.Pause(t) // the end of the test resumes it
}
