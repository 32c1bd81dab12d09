package postgres

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/ledgertest"
	"idem/ledger/localdir"
	"idem/ledger/postgres/pgtest"
)

// form is a way to use a ledger in the suite.
type form struct {
	hosts bool // each handle is another host
	url   func(s *pgtest.Server, user, db, schema string) string
}

var forms = map[string]form{
	"host":  {url: (*pgtest.Server).URL},
	"hosts": {hosts: true, url: (*pgtest.Server).URL},
}

// TestConformance runs the suite as a role that may only read and change rows.
func TestConformance(t *testing.T) {
	for name, f := range forms {
		t.Run(name, func(t *testing.T) { ledgertest.Run(t, f.harness(t)) })
	}
}

func (f form) harness(t *testing.T) ledgertest.Harness {
	server := pgtest.Shared(t)
	var mu sync.Mutex
	bases := map[string]string{} // local directories of one host, by place
	return ledgertest.Harness{
		Surveys: true,
		New: func(t testing.TB) string {
			schema := server.NewSchema(t)
			must(t, Init(t.Context(), f.url(server, pgtest.Owner, pgtest.Database, schema), InitOptions{Grant: []string{pgtest.CI}}))
			place := f.url(server, pgtest.CI, pgtest.Database, schema)
			base := t.TempDir()
			must(t, os.Chmod(base, 0o700))
			mu.Lock()
			defer mu.Unlock()
			bases[place] = base
			return place
		},
		Open: func(place string) (ledger.Ledger, error) {
			mu.Lock()
			base := bases[place]
			if f.hosts {
				var err error
				if base, err = os.MkdirTemp(base, "host"); err != nil {
					return nil, err
				}
			}
			mu.Unlock()
			mortal := &mortal{}
			return Open(place, Options{LocalBase: filepath.Join(base, "idem"), space: func(dir *localdir.Dir) filelock.Space {
				mortal.Space = filelock.New(dir)
				return mortal
			}})
		},
	}
}

// mortal are locks that can all be ended at once without unlocking them, like the locks of a
// process that dies.
type mortal struct {
	filelock.Space
	mu    sync.Mutex
	taken []*filelock.Lock
}

func (m *mortal) Take(n filelock.Name, k filelock.Kind) (*filelock.Lock, error) {
	l, err := m.Space.Take(n, k)
	if err == nil {
		m.mu.Lock()
		m.taken = append(m.taken, l)
		m.mu.Unlock()
	}
	return l, err
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.taken {
		_ = l.Leave()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
