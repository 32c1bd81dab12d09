package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broken returns a box with a ledger in which "done" has succeeded and "cut" was
// interrupted, each with a line in side. Most of it is in the -wal.
func broken(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.want(b.trace("done"), 0)
	c := b.idem("run", "--key", "cut", "--", "bash", "-c", once)
	b.await("side", 2)
	c.killAll()
	b.want(b.trace("last"), 0)
	b.wantLines("side", 3)
	return b
}

// mended gives the first hint with a command to a shell, and tells how the ledger
// is then.
func (b *box) mended(want string) {
	b.t.Helper()
	var line string
	for _, args := range [][]string{{"run", "--key", "new", "--", "touch", "ran"}, {"mark", "done", "new"}} {
		r := b.want(b.run(args...), 69)
		line = ""
		for _, m := range mendsIn(b.t, r.err) {
			if strings.Contains(m, b.ledger) {
				line = m
			}
		}
		if line == "" || !strings.Contains(line, want) {
			b.t.Fatalf("no line with %q: %s", want, r.err)
		}
	}
	if _, err := os.Stat(b.path("ran")); err == nil {
		b.t.Error("the command ran")
	}
	b.want(b.sh(line), 0)
	b.want(b.run("run", "--key", "new", "--", "true"), 0)
}

// What docs/recovery.md says about locks that are gone: once they are there again,
// what is done is replayed, and what was interrupted is known to be.
func TestE2ERecoveryOfLocks(t *testing.T) {
	t.Parallel()
	b := broken(t)
	b.want(b.sh("rm ledger/locks"), 0)
	b.want(b.trace("done"), 69)
	b.mended("touch ")
	if info, err := os.Stat(b.path("ledger/locks")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, key := range []string{"done", "last"} {
		if r := b.want(b.trace(key), 0); r.out != "out\n" {
			t.Errorf("%+v", r)
		}
	}
	b.want(b.run("run", "--key", "cut", "--", "bash", "-c", once), 79)
	b.wantLines("side", 3)
	// The witness is there again as well: a -wal that is lost is noticed.
	b.want(b.sh("rm ledger/ledger.db-wal ledger/ledger.db-shm"), 0)
	b.want(b.trace("another"), 69)
	b.wantLines("side", 3)
}

// The line is harmless where locks is there, also while something runs.
func TestE2ERecoveryLineIsHarmless(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.idem("run", "--key", "k", "--", "bash", "-c", once)
	b.await("side", 1)
	b.want(b.sh("(umask 077; touch ledger/locks)"), 0)
	b.want(b.run("run", "--key", "k", "--", "bash", "-c", once), 75)
	// What docs/recovery.md has to find out whether anything runs.
	looks := []string{`ls -l /proc/[0-9]*/fd 2>/dev/null | grep -F " $DIR/"`, `grep -lsz "^IDEM_LEDGER=$DIR\$" /proc/[0-9]*/environ`}
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	for _, look := range looks {
		if !strings.Contains(page, look) {
			t.Errorf("docs/recovery.md does not say %s", look)
		}
		if out := b.without(look); out == "" {
			t.Errorf("%s says that nothing runs", look)
		}
	}
	b.write("go", "")
	b.want(c.wait(), 0)
	for _, look := range looks {
		if out := b.without(look); out != "" {
			t.Errorf("%s says that something runs: %s", look, out)
		}
	}
	b.want(b.run("run", "--key", "k", "--", "bash", "-c", once), 0)
	b.wantLines("side", 1)
}

// locks that is removed under a run: the outcome is recorded all the same.
func TestE2ELocksRemovedUnderARun(t *testing.T) {
	t.Parallel()
	for _, again := range []string{"", "; touch ledger/locks"} {
		b := newBox(t)
		c := b.idem("run", "--key", "k", "--", "bash", "-c", once)
		b.await("side", 1)
		b.want(b.sh("rm ledger/locks"+again), 0)
		b.want(b.run("run", "--key", "k", "--", "bash", "-c", once), map[string]int{"": 69, "; touch ledger/locks": 75}[again])
		b.write("go", "")
		b.want(c.wait(), 0)
		b.want(b.sh("(umask 077; touch ledger/locks)"), 0)
		b.want(b.run("run", "--key", "k", "--", "bash", "-c", once), 0)
		b.wantLines("side", 1)
		b.want(b.trace("later"), 0)
	}
}

func TestE2ERecoveryOfLostChanges(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"lost":    "rm ledger/ledger.db-wal",
		"witness": "printf 0123456789abcdef | dd of=ledger/locks conv=notrunc",
	} {
		b := broken(t)
		if name == "lost" { // all but the last run is in ledger.db
			b.sql("")
			b.want(b.run("run", "--key", "cut", "--", "bash", "-c", once), 79)
			b.want(b.run("run", "--key", "later", "--", "sh", "-c", "echo x >>side"), 0)
			b.sqlLeft("select 1")
			b.want(b.sh("mv ledger.left/* ledger/"), 0)
			b.place(b.path("ledger"))
		}
		lines := b.lines("side")
		b.want(b.sh(damage), 0)
		b.mended("cp /dev/null ")
		b.want(b.trace("done"), 0)
		b.want(b.run("run", "--key", "cut", "--", "bash", "-c", once), 79)
		b.wantLines("side", lines)
	}
}

func TestE2ERecoveryByStartingOver(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{
		"rm ledger/ledger.db*", ": >ledger/ledger.db; rm ledger/ledger.db-*",
		"rm ledger/ledger.db-*; printf garbage12345678 | dd of=ledger/ledger.db conv=notrunc",
	} {
		b := broken(t)
		b.want(b.sh(damage), 0)
		b.mended("mv ")
		b.want(b.trace("done"), 0) // it runs again, as the hint says
		b.wantLines("side", 4)
		if _, err := os.Stat(b.path("ledger.old/locks")); err != nil {
			t.Error(err)
		}
	}
}

// A backup of the whole directory, made while nothing runs.
func TestE2ERecoveryFromABackup(t *testing.T) {
	t.Parallel()
	b := broken(t)
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	for _, line := range []string{`cp -a "$DIR" "$DIR.backup"`, `mv "$DIR" "$DIR.damaged"`, `cp -a "$DIR.backup" "$DIR"`} {
		if !strings.Contains(page, line) {
			t.Errorf("docs/recovery.md does not say %s", line)
		}
	}
	b.want(b.sh(`DIR=$IDEM_LEDGER; cp -a "$DIR" "$DIR.backup"`), 0)
	b.want(b.trace("after"), 0)
	b.want(b.sh("rm ledger/ledger.db*"), 0)
	b.want(b.trace("done"), 69)
	b.want(b.sh(`DIR=$IDEM_LEDGER; mv "$DIR" "$DIR.damaged"; cp -a "$DIR.backup" "$DIR"`), 0)
	b.want(b.trace("done"), 0)
	b.want(b.run("run", "--key", "cut", "--", "bash", "-c", once), 79)
	b.wantLines("side", 4)
	b.want(b.trace("after"), 0) // what came after the backup runs again
	b.wantLines("side", 5)
}

// without gives a line to a shell that has no IDEM_LEDGER.
func (b *box) without(line string) string {
	b.t.Helper()
	return b.sh("exec env -i DIR=$IDEM_LEDGER PATH=$PATH bash -c '" + line + "'").out
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
