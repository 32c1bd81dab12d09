package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"idem/internal/testkit"
	"idem/ledger"
)

// TestInvalidLedgerIsRefusedAndLeftAlone checks that a damaged or foreign ledger is never
// created again, and never read as an empty one.
func TestInvalidLedgerIsRefusedAndLeftAlone(t *testing.T) {
	good := made(t)
	remove := func(name string) func(t *testing.T, place string) {
		return func(t *testing.T, place string) { must(t, os.RemoveAll(filepath.Join(place, name))) }
	}
	replace := func(name, content string) func(t *testing.T, place string) {
		return func(t *testing.T, place string) {
			must(t, os.WriteFile(filepath.Join(place, name), []byte(content), 0o600))
		}
	}
	foreign := func(t *testing.T, place string) {
		remove("ledger.db")(t, place)
		remove("ledger.db-wal")(t, place)
		raw(t, place, "create table bookmarks (url text)")
	}
	all := func(steps ...func(t *testing.T, place string)) func(t *testing.T, place string) {
		return func(t *testing.T, place string) {
			for _, step := range steps {
				step(t, place)
			}
		}
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, place string)
		want   error
	}{
		{"a newer version", func(t *testing.T, place string) { raw(t, place, "pragma user_version=4") }, ledger.ErrVersion},
		{"another application", func(t *testing.T, place string) { raw(t, place, "pragma application_id=1") }, ledger.ErrForeign},
		{"another program's database", foreign, ledger.ErrForeign},
		{"another program's database, no locks", all(foreign, remove("locks")), ledger.ErrForeign},
		{"a text file", replace("ledger.db", "these are my notes, and not a database of any kind\n"), ledger.ErrCorrupt},
		{"a text file, no locks", all(replace("ledger.db", "these are my notes, and not a database of any kind\n"), remove("locks")), ledger.ErrCorrupt},
		{"an empty database", replace("ledger.db", ""), ledger.ErrCorrupt},
		{"no database", all(remove("ledger.db"), remove("ledger.db-wal")), ledger.ErrCorrupt},
		{"no locks but records", remove("locks"), ledger.ErrCorrupt},
		{"half a database", func(t *testing.T, place string) {
			must(t, os.Truncate(filepath.Join(place, "ledger.db"), 4096))
		}, ledger.ErrCorrupt},
		{"an overwritten header", func(t *testing.T, place string) {
			f, err := os.OpenFile(filepath.Join(place, "ledger.db"), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(make([]byte, 100))
			must(t, err)
			must(t, f.Close())
		}, ledger.ErrCorrupt},
		{"a second name of the database", func(t *testing.T, place string) {
			must(t, os.Link(filepath.Join(place, "ledger.db"), filepath.Join(place, "copy.db")))
		}, ledger.ErrUnsafe},
		{"a second name of the locks", func(t *testing.T, place string) {
			must(t, os.Link(filepath.Join(place, "locks"), filepath.Join(place, "more")))
		}, ledger.ErrUnsafe},
		{"a link for a database", func(t *testing.T, place string) {
			must(t, os.Rename(filepath.Join(place, "ledger.db"), filepath.Join(place, "other.db")))
			must(t, os.Symlink("other.db", filepath.Join(place, "ledger.db")))
		}, ledger.ErrForeign},
		{"a directory for locks", func(t *testing.T, place string) {
			remove("locks")(t, place)
			must(t, os.Mkdir(filepath.Join(place, "locks"), 0o700))
		}, ledger.ErrForeign},
		{"a pipe for a database", func(t *testing.T, place string) {
			remove("ledger.db")(t, place)
			must(t, unix.Mkfifo(filepath.Join(place, "ledger.db"), 0o600))
		}, ledger.ErrForeign},
		{"a table is gone", func(t *testing.T, place string) { raw(t, place, "drop table attempts") }, ledger.ErrCorrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := cloned(t, good)
			test.damage(t, place)
			before := look(t, place)
			for range 2 {
				if err := opens(t, place); !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
			}
			if after := look(t, place); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

// TestNewerLedgerKeepsItsLog checks that the commits in the write-ahead log of a newer
// version are not moved into its database.
func TestNewerLedgerKeepsItsLog(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r", nil, success)
	raw(t, place, "pragma user_version=4") // while l is open, SQLite does not move the log
	copied := cloned(t, place)
	if info, err := os.Stat(filepath.Join(copied, "ledger.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("there is no log: %v", err)
	}
	before := look(t, copied)
	if err := opens(t, copied); !errors.Is(err, ledger.ErrVersion) {
		t.Errorf("got error %v", err)
	}
	if after := look(t, copied); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// TestUnfinishedLedgerIsMade starts with the files that a crash during creation leaves:
// some files of the ledger, but not the last one.
func TestUnfinishedLedgerIsMade(t *testing.T) {
	for name, prepare := range map[string]func(place string){
		"a directory": func(place string) {},
		"init.lock":   func(place string) { must(t, os.WriteFile(place+"/init.lock", nil, 0o600)) },
		"an empty database": func(place string) {
			must(t, os.WriteFile(place+"/ledger.db", nil, 0o600))
		},
		"a database in no mode yet": func(place string) { raw(t, place, "pragma journal_mode=wal") },
		"all but the locks":         func(place string) { raw(t, place, script1+"pragma application_id=1768187245; pragma user_version=1") },
	} {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			must(t, os.Mkdir(place, 0o700))
			prepare(place)
			l := opened(t, place)
			if rec, err := l.Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseNone {
				t.Fatalf("got %+v, %v", rec, err)
			}
			runs(t, l, theKey, "r", large, success)
			if rec, err := opened(t, place).Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseSucceeded {
				t.Errorf("got %+v, %v", rec, err)
			}
		})
	}
}

// TestDamagedRowsAreRefused changes every column of every row in turn. Each answer is then
// either unchanged or ledger.ErrCorrupt.
func TestDamagedRowsAreRefused(t *testing.T) {
	testkit.Slow(t, "every value of every row is damaged once")
	good := made(t)
	ids := []ledger.ID{theKey, {Namespace: "prod", Key: "small", Window: "2026-11-22"}}
	runIDs := map[ledger.ID][]string{ids[0]: {"r1", "r2"}, ids[1]: {"r3"}}
	ask := func(place string, saw func(what string, id ledger.ID, answer any, err error)) {
		l, err := Open(place)
		must(t, err)
		defer l.Close()
		ctx := t.Context()
		for _, id := range ids {
			rec, err := l.Get(ctx, id)
			saw("record", id, rec, err)
			attempts, err := l.Attempts(ctx, id)
			saw("history", id, attempts, err)
			for _, runID := range runIDs[id] {
				out, err := outputOf(l, id, runID)
				saw("output "+runID, id, out, err)
				files, err := l.Files(ctx, id, runID)
				saw("files "+runID, id, files, err)
			}
		}
		list, err := ledger.Collect(l.List(ctx, ledger.Filter{}))
		saw("list", ledger.ID{}, list, err)
	}
	want := map[string]any{}
	ask(good, func(what string, id ledger.ID, answer any, err error) {
		must(t, err)
		want[what+id.Key] = answer
	})
	for _, c := range columns(t, good) {
		place := cloned(t, good)
		raw(t, place, "update "+c.table+" set "+c.name+"=? where rowid=?", c.damaged, c.rowid)
		refused := 0
		ask(place, func(what string, id ledger.ID, answer any, err error) {
			switch {
			case errors.Is(err, ledger.ErrCorrupt):
				refused++
			case errors.Is(err, ledger.ErrNotFound) && (c.is(naming) || c.is(linking) || c.name == "run_id"):
			case err != nil:
				t.Errorf("%s.%s of row %d, %s of %q: got error %v", c.table, c.name, c.rowid, what, id.Key, err)
			case c.is(linking) && what != "record" && within(answer, want[what+id.Key]), c.is(naming):
			case !reflect.DeepEqual(answer, want[what+id.Key]):
				t.Errorf("%s.%s of row %d, %s of %q: got %+v", c.table, c.name, c.rowid, what, id.Key, answer)
			}
		})
		if refused == 0 && !(c.is(linking) && c.rowid == 1) { // no row refers to an older attempt
			t.Errorf("%s.%s of row %d: no method reported the damage", c.table, c.name, c.rowid)
		}
	}
}

// column is a column of a row, and another value of the same type for it.
type column struct {
	table, name string
	rowid       int64
	damaged     any
}

// Damage in some columns cannot be detected by every method:
//   - Damage in a naming column makes the key another one. Only a list can detect it.
//   - Damage in a linking column detaches a row from the row that refers to it. Get
//     refuses if it is the current attempt. A list and a history are shorter.
var (
	naming  = []string{"records.namespace", "records.key", "records.window"}
	linking = []string{"records.id", "records.current", "attempts.id", "attempts.record"}
)

func (c column) is(of []string) bool { return slices.Contains(of, c.table+"."+c.name) }

// within reports whether all elements of short are in long.
func within(short, long any) bool {
	s, l := reflect.ValueOf(short), reflect.ValueOf(long)
	for i := range s.Len() {
		found := false
		for j := range l.Len() {
			found = found || reflect.DeepEqual(s.Index(i).Interface(), l.Index(j).Interface())
		}
		if !found {
			return false
		}
	}
	return true
}

func columns(t *testing.T, place string) []column {
	db, err := sql.Open("sqlite", filepath.Join(place, "ledger.db"))
	must(t, err)
	defer db.Close()
	var all []column
	for _, table := range []string{"records", "attempts", "outputs", "files"} {
		rows, err := db.Query("select rowid, * from " + table)
		must(t, err)
		names, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			values := make([]any, len(names))
			dest := make([]any, len(names))
			for i := range values {
				dest[i] = &values[i]
			}
			must(t, rows.Scan(dest...))
			for i := 1; i < len(names); i++ {
				c := column{table: table, name: names[i], rowid: values[0].(int64)}
				switch v := values[i].(type) {
				case int64:
					c.damaged = v + 1000 // no other row has this ID
				case string:
					c.damaged = v + "x"
				case []byte:
					c.damaged = append(bytes.Clone(v), 'x')
					if len(v) > 0 {
						c.damaged = append([]byte{v[0] ^ 1}, v[1:]...)
					}
				}
				all = append(all, c)
			}
		}
		must(t, rows.Err())
	}
	return all
}

func TestDamagedOutputFilesAreRefused(t *testing.T) {
	good := made(t)
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"shorter": func(path string) error { return os.Truncate(path, 30_000) },
		"longer": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			defer f.Close()
			_, err = f.WriteString("more")
			return err
		},
	} {
		place := cloned(t, good)
		must(t, damage(filepath.Join(place, "output", "r2")))
		l := opened(t, place)
		if out, err := outputOf(l, theKey, "r2"); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: got %d bytes, error %v", name, len(out), err)
		}
		if rec, err := l.Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseSucceeded {
			t.Errorf("%s: got %+v, %v", name, rec, err)
		}
	}
}

// meddler is a querier that calls a function between two queries of a reader.
type meddler struct {
	querier
	left   int
	meddle func()
}

func (m *meddler) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := m.querier.QueryRowContext(ctx, query, args...)
	if m.left--; m.left == 0 {
		_ = row.Err()
		m.meddle()
	}
	return row
}

// TestChangeBetweenTwoQueriesIsNoDamage runs a new or forgotten key while it is read. The
// change between the two queries of the reader is not taken for damage.
func TestChangeBetweenTwoQueriesIsNoDamage(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		place := fresh(t)
		l, other := opened(t, place), opened(t, place)
		runs(t, l, ledger.ID{Key: "another"}, "r0", nil, success)
		if forgotten {
			runs(t, l, theKey, "r1", nil, success)
			must(t, l.Forget(t.Context(), theKey))
		}
		m := &meddler{querier: l.db, left: 1, meddle: func() { runs(t, other, theKey, "r2", nil, success) }}
		if _, _, err := readBoth(t.Context(), m, theKey); err != nil {
			t.Errorf("forgotten %t: got error %v", forgotten, err)
		}
	}
}
