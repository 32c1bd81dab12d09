package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"idem/ledger"
)

// later is a migration of an imaginary next version. It fails when it is run twice.
const later = `
	alter table attempts add column extra text not null default 'x';
	create table more (n integer not null);
	insert into more select count(*) from attempts;
	update attempts set extra = run_id;`

// next has the scripts of that version.
var next = append(slices.Clone(migrations), later)

// opensAt returns a handle of an idem with the given migration scripts.
func opensAt(t testing.TB, place string, scripts ...string) *Ledger {
	t.Helper()
	l, err := Options{scripts: scripts}.Open(place)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// asked returns the number that a query of a ledger's database returns.
func asked(t testing.TB, place, query string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(place, "ledger.db"))
	must(t, err)
	defer db.Close()
	must(t, db.QueryRow(query).Scan(&n))
	return n
}

// TestMigrationsAreAllListed checks that each script of the directory is in migrations, in
// the order of the numbers.
func TestMigrationsAreAllListed(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	must(t, err)
	if len(files) != len(migrations) {
		t.Fatalf("%d files, %d migrations", len(files), len(migrations))
	}
	for i, file := range files {
		script, err := os.ReadFile(file)
		must(t, err)
		if string(script) != migrations[i] || !strings.HasPrefix(filepath.Base(file), fmt.Sprintf("%04d_", i+1)) {
			t.Errorf("%s is not migration %d", file, i+1)
		}
	}
}

// TestNewLedgerHasAllMigrations checks that all scripts were run on a new ledger, and that
// it can give free pages back to the disk.
func TestNewLedgerHasAllMigrations(t *testing.T) {
	place := fresh(t)
	runs(t, opensAt(t, place, next...), theKey, "r", nil, success)
	for query, want := range map[string]int64{
		"pragma user_version": int64(len(next)), "pragma auto_vacuum": 2, "select n from more": 0, "select n from commits": 2,
	} {
		if got := asked(t, place, query); got != want {
			t.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// TestOlderLedgerIsMigrated checks that an older ledger is migrated by its first user, also
// by one that only reads, and answers as before.
func TestOlderLedgerIsMigrated(t *testing.T) {
	good := made(t)
	for name, first := range map[string]func(t *testing.T, l *Ledger){
		"Get": func(t *testing.T, l *Ledger) {
			rec, err := l.Get(t.Context(), theKey)
			if err != nil || rec.Phase() != ledger.PhaseSucceeded {
				t.Errorf("got %+v, %v", rec, err)
			}
		},
		"List": func(t *testing.T, l *Ledger) {
			if list, err := ledger.Collect(l.List(t.Context(), ledger.Filter{})); err != nil || len(list) != 2 {
				t.Errorf("got %+v, %v", list, err)
			}
		},
		"Output": func(t *testing.T, l *Ledger) {
			if out, err := outputOf(l, theKey, "r2"); err != nil || out != string(large) {
				t.Errorf("got %d bytes, %v", len(out), err)
			}
		},
		"Claim": func(t *testing.T, l *Ledger) { runs(t, l, theKey, "r4", nil, success) },
	} {
		t.Run(name, func(t *testing.T) {
			place := cloned(t, good)
			commits := asked(t, place, "select n from commits")
			l := opensAt(t, place, next...)
			if now := asked(t, place, "select n from commits"); now != commits {
				t.Errorf("%d commits were counted for the migration", now-commits)
			}
			first(t, l)
			integrity(t, place)
			for query, want := range map[string]int64{
				"pragma user_version": int64(len(next)), "select n from more": 3, "select count(*) from attempts where extra = run_id": 3,
			} {
				if got := asked(t, place, query); got != want {
					t.Errorf("%s: got %d, want %d", query, got, want)
				}
			}
			if _, err := Open(place); !errors.Is(err, ledger.ErrVersion) {
				t.Errorf("the earlier version: got error %v", err)
			}
		})
	}
}

// TestOlderLedgerIsMadeAfterOpen opens a handle that finds no ledger. Then an older idem
// creates one. The handle migrates it.
func TestOlderLedgerIsMadeAfterOpen(t *testing.T) {
	place := fresh(t)
	l := opensAt(t, place, next...)
	runs(t, opened(t, place), theKey, "r", nil, success)
	if rec, err := l.Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %+v, %v", rec, err)
	}
}

// TestLookDoesNotMigrate opens a ledger of an older idem for a look only.
func TestLookDoesNotMigrate(t *testing.T) {
	place := made(t)
	l, err := Options{Look: true, scripts: next}.Open(place)
	must(t, err)
	defer l.Close()
	if missing, err := l.Missing(t.Context()); !missing || err != nil {
		t.Errorf("got missing %t, %v, want true", missing, err)
	}
	if version := asked(t, place, "pragma user_version"); version != int64(len(migrations)) {
		t.Errorf("got version %d, want %d", version, len(migrations))
	}
}

// TestUnfinishedOlderLedgerIsMade starts with a ledger of an older idem that is complete
// except for the locks. A newer idem completes it.
func TestUnfinishedOlderLedgerIsMade(t *testing.T) {
	place := fresh(t)
	must(t, os.Mkdir(place, 0o700))
	raw(t, place, script1+"pragma application_id=1768187245; pragma user_version=1")
	l := opensAt(t, place, next...)
	if rec, err := l.Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseNone {
		t.Errorf("got %+v, %v", rec, err)
	}
	runs(t, l, theKey, "r", nil, success)
	if got := asked(t, place, "select n from more"); got != 0 {
		t.Errorf("got %d", got)
	}
}

// TestMigrationUnderAnOlderIdem migrates a ledger while an older idem runs a command. The
// older idem records its outcome, and newer calls find it.
func TestMigrationUnderAnOlderIdem(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			old, err := Options{}.open(place, locks)
			must(t, err)
			t.Cleanup(func() { old.Close() })
			runs(t, old, theKey, "r1", nil, failure)
			c, err := old.Claim(t.Context(), theKey)
			must(t, err)
			e, err := c.Begin(t.Context(), ledger.Start{RunID: "r2", Fingerprint: "h1:f", MaxOutput: -1})
			must(t, err)
			e.Write(ledger.Stdout, large)

			l, err := Options{scripts: next}.open(place, locks)
			must(t, err)
			t.Cleanup(func() { l.Close() })
			if _, err := l.Claim(t.Context(), theKey); !errors.As(err, new(*ledger.BusyError)) {
				t.Errorf("got error %v", err)
			}
			other := ledger.ID{Namespace: "default", Key: "other"}
			runs(t, l, other, "r3", []byte("new\n"), success)

			_, err = e.Finish(t.Context(), success)
			must(t, err)
			must(t, c.Release())
			runs(t, old, ledger.ID{Namespace: "default", Key: "third"}, "r4", []byte("old\n"), success)
			for _, l := range []*Ledger{old, l} {
				for _, want := range []struct{ key, run, out string }{{"k", "r2", string(large)}, {"other", "r3", "new\n"}, {"third", "r4", "old\n"}} {
					id := ledger.ID{Namespace: "default", Key: want.key}
					if rec, err := l.Get(t.Context(), id); err != nil || rec.Phase() != ledger.PhaseSucceeded {
						t.Errorf("%s: got %+v, %v", want.key, rec, err)
					}
					if out, err := outputOf(l, id, want.run); err != nil || out != want.out {
						t.Errorf("%s: got %d bytes, %v", want.key, len(out), err)
					}
				}
			}
			integrity(t, place)
		})
	}
}

// TestMigrationHappensOnce opens an older ledger many times at once. It is migrated once.
func TestMigrationHappensOnce(t *testing.T) {
	place := made(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			l, err := Options{scripts: next}.Open(place)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			if _, err := run(l, ledger.ID{Namespace: "default", Key: fmt.Sprint(i)}, fmt.Sprint("run", i), nil, success); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := asked(t, place, "select count(*) from attempts"); got != 3+16 {
		t.Errorf("got %d attempts", got)
	}
	integrity(t, place)
}

// TestMigrationThatFails checks that a failed migration changes nothing, and that the next
// process can migrate the ledger.
func TestMigrationThatFails(t *testing.T) {
	place := made(t)
	before := look(t, place)
	if _, err := (Options{scripts: append(slices.Clone(next), "insert into nowhere values (1)")}).Open(place); err == nil {
		t.Fatal("no error")
	} else if !strings.Contains(err.Error(), fmt.Sprintf("migrating it from version %d to %d", len(migrations), len(next)+1)) {
		t.Errorf("got error %v", err)
	}
	if after := look(t, place); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	if rec, err := opened(t, place).Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("the earlier version: got %+v, %v", rec, err)
	}
	if rec, err := opensAt(t, place, next...).Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %+v, %v", rec, err)
	}
}

// TestMigrationAndLostCommits checks that the witness counts across a migration. A ledger
// that has lost commits before the migration is refused. Commits that are lost after it
// are detected by the next writer.
func TestMigrationAndLostCommits(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r1", nil, success)
	lost := cloned(t, place) // while l is open, SQLite does not move the log
	must(t, os.Remove(filepath.Join(lost, "ledger.db-wal")))
	raw(t, place, "pragma wal_checkpoint(truncate)")
	short := cloned(t, place)
	runs(t, l, theKey, "r2", nil, success)
	locks, err := os.ReadFile(filepath.Join(place, "locks"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(short, "locks"), locks, 0o600))
	before := look(t, short)
	var fault *ledger.Fault
	if _, err := (Options{scripts: next}).Open(short); !errors.As(err, &fault) || fault.Kind != ledger.FaultLostCommits {
		t.Errorf("got error %v", err)
	}
	if after := look(t, short); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	if _, err := (Options{scripts: next}).Open(lost); err == nil {
		t.Error("a ledger without its tables was opened")
	}

	place = made(t)
	l = opensAt(t, place, next...)
	runs(t, l, theKey, "r5", nil, success)
	raw(t, place, "pragma wal_checkpoint(truncate)")
	runs(t, l, theKey, "r6", nil, success)
	short = cloned(t, place)
	must(t, os.Remove(filepath.Join(short, "ledger.db-wal")))
	if _, err := run(opensAt(t, short, next...), theKey, "r7", nil, success); !errors.As(err, &fault) || fault.Kind != ledger.FaultLostCommits {
		t.Errorf("got error %v", err)
	}
}
