package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broken returns a box with a ledger in which "done" has succeeded and "cut" was
// interrupted, each with a line in side. Most of it is in the -wal.
func boxWithInterrupted(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.wantStatus(b.runTraced("done"), 0)
	c := b.idem("run", "--key", "cut", "--", "bash", "-c", countingScript)
	b.waitLines("side", 2)
	c.killAll()
	b.wantStatus(b.runTraced("last"), 0)
	b.wantLines("side", 3)
	return b
}

// mended gives the first hint with a command to a shell, and tells how the ledger
// is then.
func (b *box) pasteFirstHint(want string) {
	b.t.Helper()
	var line string
	for _, args := range [][]string{{"run", "--key", "new", "--", "touch", "ran"}, {"mark", "done", "new"}} {
		r := b.wantStatus(b.run(args...), 69)
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
	b.wantStatus(b.sh(line), 0)
	b.wantStatus(b.run("run", "--key", "new", "--", "true"), 0)
}

// What docs/recovery.md says about locks that are gone: once they are there again,
// what is done is replayed, and what was interrupted is known to be.
func TestE2ERecoveryOfLocks(t *testing.T) {
	t.Parallel()
	b := boxWithInterrupted(t)
	b.wantStatus(b.sh("rm ledger/locks"), 0)
	b.wantStatus(b.runTraced("done"), 69)
	b.pasteFirstHint("touch ")
	if info, err := os.Stat(b.path("ledger/locks")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, key := range []string{"done", "last"} {
		if r := b.wantStatus(b.runTraced(key), 0); r.out != "out\n" {
			t.Errorf("got %+v, want stdout %q", r, "out\n")
		}
	}
	b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
	b.wantLines("side", 3)
	// The witness is there again as well: a -wal that is lost is noticed.
	b.wantStatus(b.sh("rm ledger/ledger.db-wal ledger/ledger.db-shm"), 0)
	b.wantStatus(b.runTraced("another"), 69)
	b.wantLines("side", 3)
}

// The line is harmless where locks is there, also while something runs.
func TestE2ERecoveryLineIsHarmless(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("(umask 077; touch ledger/locks)"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 75)
	// What docs/recovery.md has to find out whether anything runs.
	looks := []string{`ls -l /proc/[0-9]*/fd 2>/dev/null | grep -F " $DIR/"`, `grep -lsz "^IDEM_LEDGER=$DIR\$" /proc/[0-9]*/environ`}
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	for _, look := range looks {
		if !strings.Contains(page, look) {
			t.Errorf("docs/recovery.md does not say %s", look)
		}
		if out := b.shWithoutLedger(look); out == "" {
			t.Errorf("%s says that nothing runs", look)
		}
	}
	b.write("go", "")
	b.wantStatus(c.wait(), 0)
	for _, look := range looks {
		if out := b.shWithoutLedger(look); out != "" {
			t.Errorf("%s says that something runs: %s", look, out)
		}
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 0)
	b.wantLines("side", 1)
}

// locks that is removed under a run: the outcome is recorded all the same.
func TestE2ELocksRemovedUnderARun(t *testing.T) {
	t.Parallel()
	for _, again := range []string{"", "; touch ledger/locks"} {
		b := newBox(t)
		c := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
		b.waitLines("side", 1)
		b.wantStatus(b.sh("rm ledger/locks"+again), 0)
		b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), map[string]int{"": 69, "; touch ledger/locks": 75}[again])
		b.write("go", "")
		b.wantStatus(c.wait(), 0)
		b.wantStatus(b.sh("(umask 077; touch ledger/locks)"), 0)
		b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 0)
		b.wantLines("side", 1)
		b.wantStatus(b.runTraced("later"), 0)
	}
}

func TestE2ERecoveryOfLostChanges(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"lost":    "rm ledger/ledger.db-wal",
		"witness": "printf 0123456789abcdef | dd of=ledger/locks conv=notrunc",
	} {
		b := boxWithInterrupted(t)
		if name == "lost" { // all but the last run is in ledger.db
			b.sql("")
			b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
			b.wantStatus(b.run("run", "--key", "later", "--", "sh", "-c", "echo x >>side"), 0)
			b.sqlLeft("select 1")
			b.wantStatus(b.sh("mv ledger.left/* ledger/"), 0)
			b.setLedger(b.path("ledger"))
		}
		lines := b.lines("side")
		b.wantStatus(b.sh(damage), 0)
		b.pasteFirstHint("cp /dev/null ")
		b.wantStatus(b.runTraced("done"), 0)
		b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
		b.wantLines("side", lines)
	}
}

func TestE2ERecoveryByStartingOver(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{
		"rm ledger/ledger.db*", ": >ledger/ledger.db; rm ledger/ledger.db-*",
		"rm ledger/ledger.db-*; printf garbage12345678 | dd of=ledger/ledger.db conv=notrunc",
	} {
		b := boxWithInterrupted(t)
		b.wantStatus(b.sh(damage), 0)
		b.pasteFirstHint("mv ")
		b.wantStatus(b.runTraced("done"), 0) // it runs again, as the hint says
		b.wantLines("side", 4)
		if _, err := os.Stat(b.path("ledger.old/locks")); err != nil {
			t.Error(err)
		}
	}
}

// A backup of the whole directory, made while nothing runs.
func TestE2ERecoveryFromABackup(t *testing.T) {
	t.Parallel()
	b := boxWithInterrupted(t)
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	for _, line := range []string{`cp -a "$DIR" "$DIR.backup"`, `mv "$DIR" "$DIR.damaged"`, `cp -a "$DIR.backup" "$DIR"`} {
		if !strings.Contains(page, line) {
			t.Errorf("docs/recovery.md does not say %s", line)
		}
	}
	b.wantStatus(b.sh(`DIR=$IDEM_LEDGER; cp -a "$DIR" "$DIR.backup"`), 0)
	b.wantStatus(b.runTraced("after"), 0)
	b.wantStatus(b.sh("rm ledger/ledger.db*"), 0)
	b.wantStatus(b.runTraced("done"), 69)
	b.wantStatus(b.sh(`DIR=$IDEM_LEDGER; mv "$DIR" "$DIR.damaged"; cp -a "$DIR.backup" "$DIR"`), 0)
	b.wantStatus(b.runTraced("done"), 0)
	b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
	b.wantLines("side", 4)
	b.wantStatus(b.runTraced("after"), 0) // what came after the backup runs again
	b.wantLines("side", 5)
}

// without gives a line to a shell that has no IDEM_LEDGER.
func (b *box) shWithoutLedger(line string) string {
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
