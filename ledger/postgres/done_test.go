package postgres

import (
	"testing"

	"github.com/google/uuid"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
	"idem/ledger/survey"
)

// TestDoneComputesAsGo compares the functions in SQL with those of Go.
func TestDoneComputesAsGo(t *testing.T) {
	r := newRoom(t)
	l := r.open("h", r.server.URL(pgtest.Owner, pgtest.Database, r.schema))
	for _, id := range []ledger.ID{{}, {Namespace: "n", Key: "k", Window: "2026-11-29"}, {Namespace: string(random(127)), Key: string(random(300)), Window: string(random(128))}} {
		for _, n := range []int64{0, 1, 127, 128, 300, 1 << 40, 1<<63 - 1} {
			var token uuid.UUID
			s := l.stmt("select {s}.token_of($1, $2, $3, $4)", wire.Raw(id.Namespace), wire.Raw(id.Key), wire.Raw(id.Window), wire.Int(n))
			s.Each = func(row *wire.Row) error { token = row.ID(); return nil }
			must(t, l.do(t.Context(), wire.Read, s))
			if want := hashkey.Token(id.Namespace, id.Key, id.Window, n); token != want {
				t.Errorf("token of %q, %d: got %v, want %v", id, n, token, want)
			}
		}
		for _, fingerprint := range []string{"", id.Key} {
			var done int64
			s := l.stmt("select {s}.done_of($1, $2)", wire.Bytes(nameOf(id)), wire.Raw(fingerprint))
			s.Each = func(row *wire.Row) error { done = row.Int(); return nil }
			must(t, l.do(t.Context(), wire.Read, s))
			if want := survey.DoneOf(filelock.NameOf(id), fingerprint); done != want {
				t.Errorf("done of %q: got %d, want %d", id, done, want)
			}
		}
	}
}
