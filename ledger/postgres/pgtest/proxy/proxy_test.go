package proxy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// begin returns a proxy before the shared server, and a connection through it.
func begin(t *testing.T) (*pgtest.Server, *proxy.Proxy, *pgconn.PgConn) {
	t.Helper()
	s := pgtest.Shared(t)
	p := pgtest.Proxy(t, s.TCPAddr())
	c, err := connect(p)
	if err != nil {
		t.Fatal(err)
	}
	return s, p, c
}

func connect(p *proxy.Proxy) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return pgconn.Connect(ctx, pgtest.URL(p.Addr(), pgtest.Superuser, pgtest.Database, "", "sslmode=disable"))
}

func exec(c *pgconn.PgConn, sql string) error {
	return c.ExecParams(context.Background(), sql, nil, nil, nil, nil).Read().Err
}

// start executes a statement in the background.
func start(c *pgconn.PgConn, sql string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- exec(c, sql) }()
	return done
}

func contains(text string) func(byte, []byte) bool {
	return func(_ byte, body []byte) bool { return strings.Contains(string(body), text) }
}

// eventually waits for a count of rows on the server itself.
func eventually(t *testing.T, s *pgtest.Server, want, sql string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); s.Query(t, sql) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not %s", sql, want)
		}
	}
}

func table(t *testing.T, s *pgtest.Server) string {
	name := s.NewSchema(t)
	s.Exec(t, "create schema "+name+"; create table "+name+".a (b int)")
	return name + ".a"
}

func TestCountsRoundTrips(t *testing.T) {
	_, p, c := begin(t)
	before := p.Counts()
	if before != (proxy.Counts{Connections: 1, Ready: 1}) {
		t.Errorf("after the login: got %+v", before)
	}
	for range 3 {
		if err := exec(c, "select 1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Exec(context.Background(), "select 1; select 2").ReadAll(); err != nil {
		t.Fatal(err)
	}
	pipe := c.StartPipeline(context.Background())
	pipe.SendQueryParams("select 1", nil, nil, nil, nil)
	pipe.SendQueryParams("select repeat('x', 1000000)", nil, nil, nil, nil)
	if err := pipe.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	want := proxy.Counts{Connections: 1, Syncs: 4, Queries: 1, Ready: 6}
	if got := p.Counts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The statement is executed while its client waits for the answer.
func TestCutToClient(t *testing.T) {
	s, p, c := begin(t)
	a := table(t, s)
	p.Cut(proxy.ToClient)
	done := start(c, "insert into "+a+" values (1)")
	eventually(t, s, "1", "select count(*) from "+a)
	select {
	case err := <-done:
		t.Fatalf("an answer passed the cut: %v", err)
	default:
	}
	p.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The statement reaches the server after the cut only.
func TestCutToServer(t *testing.T) {
	s, p, c := begin(t)
	a := table(t, s)
	p.Cut(proxy.ToServer)
	done := start(c, "insert into "+a+" values (1)")
	for p.Counts().Syncs == 0 { // until the proxy has it
		time.Sleep(time.Millisecond)
	}
	s.Exec(t, "insert into "+a+" values (2)")
	if got := s.Query(t, "select b from "+a); got != "2" {
		t.Errorf("got %s", got)
	}
	p.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := s.Query(t, "select count(*) from "+a); got != "2" {
		t.Errorf("rows: got %s, want 2", got)
	}
}

// The answer to COMMIT is lost, and the transaction is committed. Other connections go
// on.
func TestHoldLosesTheAnswerToCommit(t *testing.T) {
	s, p, c := begin(t)
	a := table(t, s)
	reached := p.Hold(proxy.ToClient, contains("commit"))
	if err := exec(c, "begin"); err != nil {
		t.Fatal(err)
	}
	if err := exec(c, "insert into "+a+" values (1)"); err != nil {
		t.Fatal(err)
	}
	done := start(c, "commit")
	<-reached
	eventually(t, s, "1", "select count(*) from "+a)
	other, err := connect(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec(other, "commit"); err != nil { // a hold is for one message
		t.Error(err)
	}
	select {
	case err := <-done:
		t.Fatalf("an answer passed the hold: %v", err)
	default:
	}
	p.Reset()
	if err := <-done; err == nil {
		t.Error("the answer arrived")
	}
	if err := exec(other, "select 1"); err == nil {
		t.Error("a connection survived the reset")
	}
}

// Messages in one piece are split where the hold begins.
func TestHoldKeepsAMessageFromTheServer(t *testing.T) {
	s, p, c := begin(t)
	a := table(t, s)
	reached := p.Hold(proxy.ToServer, contains("(2)"))
	pipe := c.StartPipeline(context.Background())
	pipe.SendQueryParams("insert into "+a+" values (1)", nil, nil, nil, nil)
	pipe.SendPipelineSync()
	pipe.SendQueryParams("insert into "+a+" values (2)", nil, nil, nil, nil)
	pipe.SendPipelineSync()
	if err := pipe.Flush(); err != nil {
		t.Fatal(err)
	}
	<-reached
	eventually(t, s, "1", "select string_agg(b::text, ',') from "+a)
	p.Heal()
	eventually(t, s, "1,2", "select string_agg(b::text, ',') from "+a)
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
}

// A new connection waits for the end of a cut, and for a server that has gone it ends.
func TestHoldOutlivesALostMessage(t *testing.T) {
	_, p, c := begin(t)
	before := p.Counts().Syncs
	reached := p.Hold(proxy.ToClient, contains("held"))
	p.Delay(time.Hour)
	lost := start(c, "select 'held'")
	for p.Counts().Syncs == before {
		time.Sleep(time.Millisecond)
	}
	p.Reset()
	if err := <-lost; err == nil {
		t.Error("the message was not lost")
	}
	select {
	case <-reached:
		t.Fatal("a message that was lost counts")
	default:
	}
	p.Delay(0)
	c, err := connect(p)
	if err != nil {
		t.Fatal(err)
	}
	done := start(c, "select 'held'")
	<-reached
	p.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNewConnections(t *testing.T) {
	_, p, _ := begin(t)
	p.Cut(proxy.ToClient)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := pgconn.Connect(ctx, pgtest.URL(p.Addr(), pgtest.Superuser, pgtest.Database, ""))
		done <- err
	}()
	for p.Counts().Connections < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	p.Heal()
	if _, err := connect(p); err != nil {
		t.Error(err)
	}
	s := pgtest.Start(t, pgtest.Options{})
	p.Retarget(s.Addr())
	s.Stop(t, pgtest.Fast)
	if _, err := connect(p); err == nil {
		t.Error("connected to a stopped server")
	}
}

// An encrypted connection passes, and is not counted.
func TestTLS(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{TLS: true})
	p := pgtest.Proxy(t, s.TCPAddr())
	t.Setenv("PGPASSWORD", pgtest.Password)
	url := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, "", "sslmode=verify-full", "sslrootcert="+s.CA())
	c, err := pgconn.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec(c, "select 1"); err != nil {
		t.Error(err)
	}
	if got := p.Counts(); got != (proxy.Counts{Connections: 1}) {
		t.Errorf("got %+v", got)
	}
}

// Unix sockets on both sides.
func TestUnixSockets(t *testing.T) {
	s := pgtest.Shared(t)
	dir, err := os.MkdirTemp("", "px")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p, err := proxy.Listen("unix", filepath.Join(dir, ".s.PGSQL.7"), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec(c, "select 1"); err != nil {
		t.Error(err)
	}
	p.Reset()
	if err := exec(c, "select 1"); err == nil {
		t.Error("the connection survived the reset")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := connect(p); err == nil {
		t.Error("a closed proxy accepts connections")
	}
}

// With a delay, the statements of a pipeline do not wait for each other.
func TestDelayKeepsTheOrder(t *testing.T) {
	_, p, c := begin(t)
	p.Delay(20 * time.Millisecond)
	pipe := c.StartPipeline(context.Background())
	for range 50 {
		pipe.SendQueryParams("select 1", nil, nil, nil, nil)
		pipe.SendPipelineSync()
	}
	begun := time.Now()
	if err := pipe.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 40*time.Millisecond {
		t.Errorf("the answer came after %v, before it could", took)
	}
}
