package cmd_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// sql changes the ledger without idem, and moves all changes into ledger.db.
func (b *box) sql(statements string) {
	b.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.ledger, "ledger.db"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements + "; pragma wal_checkpoint(truncate)"); err != nil {
		b.t.Fatal(err)
	}
}

// sqlLeft changes the ledger without idem and leaves the change in the -wal, as
// a killed process does. The box then uses a copy of the ledger.
func (b *box) sqlLeft(statements string) {
	b.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.ledger, "ledger.db"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		b.t.Fatal(err)
	}
	b.wantStatus(b.sh("cp -a "+b.ledger+" "+b.ledger+".left"), 0)
	b.setLedger(b.ledger + ".left")
}

// digest describes the ledger's files, so that two digests differ if a file has
// changed. It leaves out the -shm, whose content does not matter, and an empty
// -wal, which is the same as none.
func (b *box) digest() string {
	b.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(b.ledger, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") {
			return err
		}
		p, err := os.ReadFile(path)
		if strings.HasSuffix(path, "-wal") && len(p) == 0 {
			return err
		}
		fmt.Fprintf(&all, "%s: %d bytes, %x\n", filepath.Base(path), len(p), sha256.Sum256(p))
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all.String()
}

// wantAllRefused checks that every command refuses the ledger and leaves it
// unchanged. what is a part of each message.
func (b *box) wantAllRefused(what string) {
	b.t.Helper()
	before, side := b.digest(), b.lines("side")
	for _, r := range []result{
		b.runTraced("old"), b.runTraced("new"), b.run("list"), b.run("show", "old"), b.run("logs", "old"),
		b.run("forget", "old"), b.run("mark", "retry", "old", "--force"),
	} {
		b.wantStatus(r, 69)
		if what != "" && !strings.Contains(r.err, what) {
			b.t.Errorf("stderr: got %s, want it with %q", r.err, what)
		}
	}
	if after := b.digest(); after != before {
		b.t.Errorf("the ledger changed: got\n%swant\n%s", after, before)
	}
	b.wantLines("side", side)
}

// usedBox returns a box whose ledger has the key old.
func usedBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.wantStatus(b.runTraced("old"), 0)
	return b
}

// A damaged ledger is never replaced by a new one, and stays as it is.
func TestE2EDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"header":    `printf 'not a database, not a database' | dd of=ledger/ledger.db conv=notrunc`,
		"zeros":     `dd if=/dev/zero of=ledger/ledger.db conv=notrunc bs=4096 count=1`,
		"all":       `n=$(stat -c %s ledger/ledger.db); head -c $n /dev/urandom >ledger/ledger.db`,
		"cut":       `truncate -s 5000 ledger/ledger.db`,
		"emptied":   `: >ledger/ledger.db`,
		"missing":   `rm ledger/ledger.db*`,
		"directory": `rm ledger/ledger.db*; mkdir ledger/ledger.db`,
		"no locks":  `rm ledger/locks`,
		"dir locks": `rm ledger/locks; mkdir ledger/locks`,
	} {
		t.Run(name, func(t *testing.T) {
			b := usedBox(t)
			b.sql("")
			b.wantStatus(b.sh(damage), 0)
			b.wantAllRefused("")
		})
	}
}

// The same holds with a -wal, which contains most of the ledger. SQLite removes
// it if it finds an empty ledger.db.
func TestE2EEmptiedWithWAL(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"emptied":  `: >ledger/ledger.db`,
		"missing":  `rm ledger/ledger.db`,
		"no locks": `rm ledger/locks`,
	} {
		t.Run(name, func(t *testing.T) {
			b := usedBox(t)
			b.wantStatus(b.sh(damage), 0)
			if b.read("ledger/ledger.db-wal") == "" {
				t.Error("got no -wal, want one")
			}
			b.wantAllRefused("")
		})
	}
}

// A ledger that was removed completely is created again.
func TestE2EAllDeleted(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"rm -r ledger", "rm -r ledger/*"} {
		b := usedBox(t)
		b.wantStatus(b.sh(script), 0)
		b.wantStatus(b.run("show", "old"), 1)
		b.wantStatus(b.runTraced("old"), 0)
		b.wantLines("side", 2)
	}
}

// Ledgers of a newer idem and databases of another program are refused.
func TestE2EVersion(t *testing.T) {
	t.Parallel()
	for statement, what := range map[string]string{
		"pragma user_version=4":     "version",
		"pragma user_version=99":    "version",
		"pragma application_id=815": "another program",
	} {
		b := usedBox(t)
		b.sql(statement)
		b.wantAllRefused(what)
		b = usedBox(t)
		b.sqlLeft(statement)
		if b.read(b.ledger+"/ledger.db-wal") == "" {
			t.Error("got no -wal, want one")
		}
		b.wantAllRefused(what)
	}
}

// The locks file is removed while a command runs. A new call is refused while
// the locks file is missing. The run that goes on reports what it knows.
func TestE2ELocksRemovedDuringARun(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("rm ledger/locks"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 69)
	b.wantStatus(b.run("run", "--key", "new", "--", "bash", "-c", countingScript), 69)
	b.write("go", "")
	if r := first.wait(); r.code != 0 && r.code != 125 {
		t.Errorf("got %+v, want status 0 or 125", r)
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 69)
	b.wantLines("side", 1)
}

func TestE2ELedgerRemovedDuringARun(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("rm -r ledger"), 0)
	b.write("go", "")
	if r := b.wantStatus(first.wait(), 125); !strings.Contains(r.err, "ledger.db was removed") {
		t.Errorf("stderr: got %s, want it with %q", r.err, "ledger.db was removed")
	}
	b.wantLines("side", 1)
}

// Commits in an unlinked -wal are lost when the last process closes it. The run
// does not report success, and later calls do not run the key again.
func TestE2EWALRemovedDuringARun(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "old", "--", "true"), 0)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("rm ledger/ledger.db-wal"), 0)
	b.write("go", "")
	if r := b.wantStatus(first.wait(), 125); !strings.Contains(r.err, "ledger.db-wal was removed") {
		t.Errorf("stderr: got %s, want it with %q", r.err, "ledger.db-wal was removed")
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 69)
	b.wantStatus(b.run("run", "--key", "old", "--", "true"), 69)
	b.wantLines("side", 1)
}

// Damaged or missing output is never replayed.
func TestE2EOutputDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"gone":  `rm ledger/output/*`,
		"cut":   `truncate -s 1000 ledger/output/*`,
		"zeros": `n=$(stat -c %s ledger/output/*); f=$(ls ledger/output/*); head -c $n /dev/zero >$f`,
		"link":  `mv ledger/output/* elsewhere; ln -s ../../elsewhere "ledger/output/$(idem show --json k | sed -n 's/.*"run_id": "\([^"]*\)".*/\1/p' | head -1)"`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			run := []string{"run", "--key", "k", "--", "sh", "-c", "seq 1 100000; echo x >>side"}
			b.wantStatus(b.run(run...), 0)
			b.wantStatus(b.sh(damage), 0)
			b.wantStatus(b.run(run...), 69)
			b.wantStatus(b.run("logs", "k"), 69)
			b.wantLines("side", 1)
			b.wantStatus(b.run("run", "--key", "k", "--replay", "none", "--", "sh", "-c", "seq 1 100000; echo x >>side"), 0)
			b.wantState("k", "succeeded")
		})
	}
}

// A backup replaces the ledger while a call waits. The call runs nothing,
// because its record would go to the wrong ledger.
func TestE2ELedgerReplacedWhileWaiting(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "old", "--", "true"), 0)
	b.wantStatus(b.sh("cp -a ledger backup"), 0)
	fail := "echo x >>side; until [ -e go ]; do sleep .05; done; exit 1"
	first := b.idem("run", "--key", "k", "--", "bash", "-c", fail)
	b.waitLines("side", 1)
	second := b.idem("run", "--key", "k", "--wait", "--", "bash", "-c", fail)
	b.waitUntil("the second waits", func() bool { return procState(second.pid()) == "S" })
	pauseBriefly()
	b.wantStatus(b.sh("mv ledger away && mv backup ledger"), 0)
	b.write("go", "")
	b.wantStatus(first.wait(), 125)
	b.wantStatus(second.wait(), 69)
	b.wantLines("side", 1)
}

// A mutex whose row is damaged admits no call. Other keys and mutexes are not affected.
func TestE2EDamagedMutex(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	holder := b.start([]string{"idem", "run", "--key", "k", "--mutex", "m", "--", "sh", "-c", "echo >ready; until [ -e go ]; do sleep 0.01; done"})
	b.waitLines("ready", 1)
	b.sql("update mutexes set since=since+1")
	b.wantStatus(b.run("run", "--key", "other", "--mutex", "m", "--", "touch", "ran"), 69)
	b.wantStatus(b.run("run", "--key", "other", "--mutex", "m", "--wait", "--", "touch", "ran"), 69)
	b.wantStatus(b.run("check", "--mutex", "m", "other"), 69)
	b.wantStatus(b.run("list", "--mutexes"), 69)
	b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", "echo >ready; until [ -e go ]; do sleep 0.01; done"), 75)
	if r := b.run("show", "--json", "k"); r.code != 0 || !strings.Contains(r.out, `"mutexes": null`) || !strings.Contains(r.err, "the mutexes of key \"k\" are not known") {
		t.Errorf("got %+v, want the record and a warning", r)
	}
	b.wantStatus(b.run("run", "--key", "third", "--mutex", "n", "--", "true"), 0)
	b.wantStatus(b.run("run", "--key", "fourth", "--", "true"), 0)
	b.write("go", "")
	b.wantStatus(holder.wait(), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", "echo >ready; until [ -e go ]; do sleep 0.01; done"), 0)
	if _, err := os.Stat(b.path("ran")); err == nil {
		t.Error("a command ran with a damaged mutex")
	}
	requireTool(t, "sqlite3")
	r := b.wantStatus(b.run("run", "--key", "other", "--mutex", "m", "--", "true"), 69)
	mends := mendsIn(t, r.err)
	if len(mends) != 1 || !strings.Contains(r.err, "no record is affected") {
		t.Fatalf("got %s, want one hint", r.err)
	}
	b.wantStatus(b.sh(mends[0]), 0)
	b.wantStatus(b.run("run", "--key", "other", "--mutex", "m", "--", "true"), 0)
	b.wantStatus(b.run("run", "--key", "fourth", "--", "false"), 65) // no record is lost
}
