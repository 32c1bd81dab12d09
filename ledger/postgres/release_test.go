package postgres

import (
	"testing"

	"idem/ledger/postgres/pgtest"
)

// TestReleaseOverACutConnection: a claim is given back although its connection was cut while it
// was not used.
func TestReleaseOverACutConnection(t *testing.T) {
	r := newRoom(t)
	p := pgtest.Proxy(t, r.server.Addr())
	l := r.open("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
	c, err := l.Claim(t.Context(), testID)
	must(t, err)
	p.Reset()
	must(t, c.Release())
	other, err := r.open("b", "").Claim(t.Context(), testID)
	must(t, err)
	must(t, other.Release())
}
