package postgres

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/ledgertest"
	"idem/ledger/localdir"
	"idem/ledger/postgres/pgtest"
)

// TestConformance runs the suite as a role that may only read and change rows.
func TestConformance(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		t.Run(name, func(t *testing.T) {
			f := forms[name]
			if f.slow != "" {
				testkit.Slow(t, f.slow)
			}
			ledgertest.Run(t, f.harness(t))
		})
	}
}

// TestModel compares random histories with the reference.
func TestModel(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		f := forms[name]
		if f.checks == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			testkit.Slow(t, "rounds of random operations, each with many round trips")
			checks := flag.Lookup("rapid.checks")
			if checks.Value.String() == checks.DefValue {
				must(t, checks.Value.Set(strconv.Itoa(f.checks)))
				t.Cleanup(func() { must(t, checks.Value.Set(checks.DefValue)) })
			}
			ledgertest.Model(t, f.harness(t))
		})
	}
}

func (f form) harness(t *testing.T) ledgertest.Harness {
	access := f.access(t)
	server := access.server
	var mu sync.Mutex
	bases := map[string]string{} // local directories of one host, by place
	h := ledgertest.Harness{
		LateOutput: f.hosts,
		Cases:      f.cases,
		New: func(t testing.TB) string {
			schema := server.NewSchema(t)
			must(t, initialize(t.Context(), access.url(access.owner, schema), InitOptions{Grant: []string{access.user}}))
			place := access.url(access.user, schema)
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
		Crash: func(l ledger.Ledger) { f.crash(t, server, l.(*Ledger)) },
		Lose:  func(t testing.TB, c ledger.Claim) { lose(t, server, c.(*claim)) },
		Newer: func(t testing.TB, place string) { newer(t, server, schemaOf(place)) },
		Look: func(t testing.TB, place string) string {
			mu.Lock()
			defer mu.Unlock()
			return look(t, server, schemaOf(place), bases[place])
		},
		// Another host sees no locks: it cannot know of processes that outlive their call.
		Inherits:       !f.hosts,
		LostKeepsLocks: !f.hosts,
		Leases:         true,
		Offers:         (*Ledger)(nil),
	}
	if runtime.GOOS == "linux" && !f.hosts {
		h.Leave = ledgertest.Leave
	}
	return h
}

func schemaOf(place string) string {
	u, _ := url.Parse(place)
	return u.Query().Get("schema")
}

// crash ends all that a handle holds. For other hosts, the key is held until the end of the
// lease, which is made to be now.
func (f form) crash(t testing.TB, server *pgtest.Server, l *Ledger) {
	holders := l.leases.abandon()
	l.mu.Lock()
	if l.local != nil {
		l.local.locks.(*mortal).die()
	}
	l.mu.Unlock()
	if f.hosts && len(holders) > 0 {
		server.Exec(t, "update "+l.cfg.Schema+".record set lease_until = clock_timestamp() - interval '1 s' where holder in ("+strings.Join(holders, ",")+")")
	}
}

// abandon ends all renewals, and returns the holders as SQL.
func (s *leases) abandon() (holders []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.all {
		holders = append(holders, "'"+uuid.UUID(h.holder).String()+"'")
	}
	clear(s.all)
	for s.renewing { // its answer no longer counts, but it could come after the end of the lease
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
	return holders
}

// lose lets another host have taken the claim over and given it back, and renews the lease now.
func lose(t testing.TB, server *pgtest.Server, c *claim) {
	server.Exec(t, "update "+c.ledger.cfg.Schema+".record set holder = null, site = gen_random_uuid() where holder = '"+uuid.UUID(c.held.holder).String()+"'")
	s := c.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = sinceBoot()
}

// newer makes a ledger that this version can neither read nor write.
func newer(t testing.TB, server *pgtest.Server, schema string) {
	server.Exec(t, "update "+schema+".meta set format = 99, min_reader = 99, min_writer = 99; alter table "+schema+".record rename to record_99")
}

// look describes the rows of all tables, and the files of all hosts.
func look(t testing.TB, server *pgtest.Server, schema, base string) string {
	t.Helper()
	out := ""
	for _, table := range strings.Fields(server.Query(t, "select relname from pg_class where relkind = 'r' and relnamespace = '"+schema+"'::regnamespace order by 1")) {
		out += table + " " + server.Query(t, "select count(*), sum(hashtext(t::text)) from "+schema+"."+table+" t") + "\n"
	}
	must(t, filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out += fmt.Sprintf("%s %x\n", path, sha256.Sum256(b))
		return err
	}))
	return out
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

func initialize(ctx context.Context, place string, o InitOptions) error {
	_, err := Init(ctx, place, o)
	return err
}

// Every list of a few attempts has several pages.
func init() { historyRecords, historyAttempts, keysPage = 3, 2, 2 }
