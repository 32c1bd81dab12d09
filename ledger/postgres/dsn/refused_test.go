package dsn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger/postgres/dsn"
)

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = dial(t, "postgres://u:S3CR3T@"+addr+"/x?sslmode=disable", none(t), brief)
	wantFailure(t, err, dsn.Unreachable, "connection refused")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want also the end of the context", err)
	}
	_, err = dial(t, "postgres://u:S3CR3T@/x?host="+t.TempDir(), none(t), brief)
	wantFailure(t, err, dsn.Unreachable, "no server has its socket in the directory")
	_, err = dial(t, "postgres://u:S3CR3T@name.invalid/x", none(t), brief)
	wantFailure(t, err, dsn.Unreachable, "host name")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := dsn.Parse("postgres://u@"+addr+"/x", none(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want also that the context was canceled", err)
	}
}

// A peer that is not a server: it closes, says something else, or says nothing.
func TestPeersThatAreNoServer(t *testing.T) {
	for answer, test := range map[string]struct {
		kind dsn.Kind
		text string
	}{
		"":                             {dsn.Unreachable, "the server closed the connection"},
		"HTTP/1.1 400 Bad Request\r\n": {dsn.Other, "not that of a PostgreSQL server"},
	} {
		addr, again := serve(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1000))
			_, _ = conn.Write([]byte(answer))
		})
		_, err := dialUntil(t, again, "postgres://u:S3CR3T@"+addr+"/x?sslmode=disable", none(t))
		wantFailure(t, err, test.kind, test.text)
	}
	addr, _ := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	_, err := dial(t, "postgres://u:S3CR3T@"+addr+"/x?sslmode=disable", none(t), brief)
	wantFailure(t, err, dsn.Unreachable, "no answer in time")
}

func TestThePasswordCommandRunsOncePerDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	runs, attempts := filepath.Join(t.TempDir(), "runs"), make(chan bool, 1000)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			attempts <- true
			_ = conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	go func() {
		for range 3 {
			<-attempts
		}
		cancel()
	}()
	c, err := dsn.Parse("postgres://u@"+l.Addr().String()+"/x?sslmode=disable", none(t, "IDEM_PG_PASSWORD_COMMAND=echo run >>"+runs+"; echo pw"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Dial(ctx)
	wantFailure(t, err, dsn.Unreachable, "")
	if got, _ := os.ReadFile(runs); string(got) != "run\n" {
		t.Errorf("got %q, want one run", got)
	}
	_ = l.Close()
}
