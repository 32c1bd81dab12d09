package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/ledgertest"
	"idem/ledger/localdir"
)

// spaces are the two kinds of locks. A ledger keeps its promises with both.
var spaces = map[string]func(dir *localdir.Dir) filelock.Space{
	"default": filelock.New,
	"flock":   filelock.NewFlocks,
}

// harness is that of one kind of locks. checks reports whether each turn of a writer checks what the
// turns before have left.
func harness(locks func(dir *localdir.Dir) filelock.Space, checks bool) ledgertest.Harness {
	h := ledgertest.Harness{
		New: func(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger") },
		Open: func(place string) (ledger.Ledger, error) {
			return Options{}.open(place, func(dir *localdir.Dir) filelock.Space { return &mortal{Space: locks(dir), dir: dir, checks: checks} })
		},
		Crash:    func(l ledger.Ledger) { l.(*Ledger).locks.(*mortal).die() },
		Inherits: true,
		Offers:   (*Ledger)(nil),
		Newer:    func(t testing.TB, place string) { raw(t, place, "pragma user_version=4") },
		Look:     look,
		Check:    integrity,
	}
	if runtime.GOOS == "linux" { // other kernels do not show the environment of a process
		h.Leave = ledgertest.Leave
	}
	return h
}

func TestConformance(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			if name != "default" {
				testkit.Slow(t, "the suite runs once more, with the other kind of locks")
			}
			ledgertest.Run(t, harness(locks, false))
		})
	}
}

func TestModel(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			testkit.Slow(t, "rounds of random operations, each with many fsyncs")
			few(t, map[string]int{"default": 20, "flock": 5}[name]) // taking a held flock is tried for 0.1 s
			ledgertest.Model(t, harness(locks, true))
		})
	}
}

func BenchmarkLedger(b *testing.B) { ledgertest.Benchmark(b, harness(filelock.New, false)) }

// mortal are locks that can all be ended at once without unlocking them, like the locks of
// a process that dies.
type mortal struct {
	filelock.Space
	dir    *localdir.Dir
	checks bool
	mu     sync.Mutex
	taken  []*filelock.Lock
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

// Queue is that of the Space. It may check that the writers before have left no receipt that is not
// what the record says.
func (m *mortal) Queue() (*filelock.Lock, error) {
	l, err := m.Space.Queue()
	if err == nil && m.checks {
		if wrong := wrongReceiptsIn(m.dir.Path()); len(wrong) > 0 {
			panic(fmt.Sprintf("a writer has left the receipt %+v", wrong[0]))
		}
	}
	return l, err
}

// wrongReceiptsIn returns the receipts of a ledger that are not what its records say. It returns none
// for a ledger that a test has damaged.
func wrongReceiptsIn(place string) []receipt {
	l, err := Open(place)
	if err != nil {
		return nil
	}
	defer l.Close()
	_, wrong, _ := l.wrongReceipts(context.Background())
	return wrong
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.taken {
		_ = l.Leave()
	}
}

// raw runs SQL directly on a ledger's database.
func raw(t testing.TB, place, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(place, "ledger.db"))
	must(t, err)
	defer db.Close()
	res, err := db.ExecContext(context.Background(), query, args...)
	must(t, err)
	if n, err := res.RowsAffected(); err == nil && n == 0 && len(args) > 0 {
		t.Fatalf("%s: no row changed", query)
	}
}

// look describes all files of a ledger. It omits the -shm and an empty -wal, because SQLite
// creates them for reading.
func look(t testing.TB, place string) string {
	t.Helper()
	out := ""
	err := filepath.WalkDir(place, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch ext := filepath.Ext(path); {
		case ext == ".db-shm", ext == ".db-wal" && info.Size() == 0:
			return nil
		}
		out += fmt.Sprintf("%s %v", path, info.Mode())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		}
		out += "\n"
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// integrity runs SQLite's integrity_check.
func integrity(t testing.TB, place string) {
	t.Helper()
	path := filepath.Join(place, "ledger.db")
	if _, err := os.Stat(path); err != nil {
		return // the case has created no database
	}
	if wrong := wrongReceiptsIn(place); len(wrong) > 0 {
		t.Errorf("the receipt of a record is not what the record says: %+v", wrong[0])
	}
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	var result string
	must(t, db.QueryRow("pragma integrity_check").Scan(&result))
	if result != "ok" {
		t.Errorf("the database is damaged: %s", result)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
