package postgres

import (
	"testing"

	"idem/ledger/postgres/pgtest"
)

// form is a way to use a ledger in the suite.
type form struct {
	hosts  bool                      // each handle is another host
	slow   string                    // why the form is skipped with -short
	cases  func(name string) bool    // the cases of the suite; nil: all
	checks int                       // of the model
	access func(t *testing.T) access // called once for each test
}

// access is a server, and two roles that reach it by a URL.
type access struct {
	server      *pgtest.Server
	owner, user string
	url         func(user, schema string) string
}

var forms = map[string]form{
	"host":    {access: direct, checks: 10},
	"hosts":   {access: direct, hosts: true, checks: 10},
	"pooled":  {access: pooled, hosts: true, slow: "the suite once more", checks: 2},
	"tls":     {access: encrypted, slow: "a login with TLS and SCRAM for each handle", cases: oneIn(8)},
	"hostile": {access: hostile, slow: "a part of the suite once more", cases: oneIn(3), checks: 3},
}

// oneIn selects about one in n cases by name.
func oneIn(n int) func(string) bool {
	return func(name string) bool {
		sum := 0
		for _, c := range []byte(name) {
			sum = (31*sum + int(c)) % 1009
		}
		return sum%n == 0
	}
}

func direct(t *testing.T) access {
	s := pgtest.Shared(t)
	return access{s, pgtest.Owner, pgtest.CI, func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }}
}

// pooled is a PgBouncer in transaction mode, with two connections to the server.
func pooled(t *testing.T) access {
	s := pgtest.Shared(t)
	p := s.Pooler(t, pgtest.PoolerOptions{PoolSize: 2})
	return access{s, pgtest.Owner, pgtest.CI, func(user, schema string) string { return p.URL(user, pgtest.Database, schema) }}
}

// encrypted is TCP with a verified certificate and a password.
func encrypted(t *testing.T) access {
	s := pgtest.Start(t, pgtest.Options{TLS: true, MaxConnections: 300})
	pass := pgtest.PassFile(t)
	return access{s, pgtest.Owner, pgtest.CI, func(user, schema string) string {
		return pgtest.URL(s.TCPAddr(), user, pgtest.Database, schema, "sslmode=verify-full", "sslrootcert="+s.CA(), "passfile="+pass)
	}}
}
