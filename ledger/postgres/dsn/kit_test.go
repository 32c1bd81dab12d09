package dsn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/pgtest"
)

// none is an environment without any variable, except for an empty home directory.
func none(t *testing.T, pairs ...string) func(string) string {
	t.Helper()
	vars := map[string]string{"HOME": t.TempDir()}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return func(name string) string { return vars[name] }
}

// dial dials a place. A dial that is tried again ends after the given time.
func dial(t *testing.T, place string, env func(string) string, limit time.Duration) (*pgconn.PgConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return dialUntil(t, ctx, place, env)
}

func dialUntil(t *testing.T, ctx context.Context, place string, env func(string) string) (*pgconn.PgConn, error) {
	t.Helper()
	c, err := dsn.Parse(place, env)
	if err != nil {
		t.Fatalf("Parse(%q): %v", place, err)
	}
	return c.Dial(ctx)
}

// serve calls answer with each connection, then closes it. It returns its address. The context ends
// with the second connection: however slow the machine is, the first answer has been read then.
func serve(t *testing.T, answer func(net.Conn)) (addr string, again context.Context) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	again, cancel := context.WithTimeout(t.Context(), hang)
	t.Cleanup(cancel)
	go func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if n > 1 {
				cancel()
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	return l.Addr().String(), again
}

const (
	hang  = 30 * time.Second       // ends a test that hangs
	brief = 300 * time.Millisecond // for a dial that is tried again until its end
)

// value dials a place and returns the result of a query.
func value(t *testing.T, place string, env func(string) string, query string) string {
	t.Helper()
	conn, err := dial(t, place, env, hang)
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	r := conn.ExecParams(t.Context(), query, nil, nil, nil, nil).Read()
	if r.Err != nil {
		t.Fatal(dsn.Text(r.Err))
	}
	return string(r.Rows[0][0])
}

// wantFailure checks the kind and the text of an error of Dial, and that no verb of package
// fmt shows a password.
func wantFailure(t *testing.T, err error, kind dsn.Kind, text string) {
	t.Helper()
	var e *dsn.DialError
	if !errors.As(err, &e) || dsn.Class(err) != kind || !strings.Contains(dsn.Text(err), text) || err.Error() != dsn.Text(err) {
		t.Errorf("got %v (kind %d), want %q (kind %d)", err, dsn.Class(err), text, kind)
	}
	if errors.As(err, new(*pgconn.ConnectError)) {
		t.Error("the error of pgconn can be reached, and has the password")
	}
	for _, secret := range []string{pgtest.Password, "S3CR3T"} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v %s %q %d", err, err, err, err, err, err), secret) {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

// with returns a URL with other values of some keys, and a user and password.
func with(t *testing.T, place string, user *url.Userinfo, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(place)
	if err != nil {
		t.Fatal(err)
	}
	if user != nil {
		u.User = user
	}
	q := u.Query()
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		q.Set(key, value)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}
