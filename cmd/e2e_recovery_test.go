package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// boxWithInterrupted returns a box in whose ledger "done" has succeeded and
// "cut" was interrupted. Each added a line to side. Most of the ledger is in
// the -wal.
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

// pasteLedgerHint checks that run and mark are refused with a hint about the
// ledger that contains want. It pastes the hint into a shell; a run succeeds then.
func (b *box) pasteLedgerHint(want string) {
	b.t.Helper()
	b.wantStatus(b.sh(b.ledgerHint(want)), 0)
	b.wantStatus(b.run("run", "--key", "new", "--", "true"), 0)
}

// pasteRecoveryLine is pasteLedgerHint for a line that gives up records. It is in
// docs/recovery.md only: no hint may make a key run again.
func (b *box) pasteRecoveryLine(line string) {
	b.t.Helper()
	b.ledgerHint("idem ledger restore BACKUP --replace")
	for _, hint := range mendsIn(b.t, b.run("run", "--key", "new", "--", "touch", "ran").err) {
		if strings.HasPrefix(hint, "mv ") || strings.HasPrefix(hint, "cp ") {
			b.t.Errorf("got the hint %s, want none that gives up records", hint)
		}
	}
	if !strings.Contains(b.read(mustAbs(b.t, "../docs/recovery.md")), line) {
		b.t.Errorf("docs/recovery.md: got no line %s, want it", line)
	}
	b.wantStatus(b.sh("DIR=$IDEM_LEDGER; "+line), 0)
	b.wantStatus(b.run("run", "--key", "new", "--", "true"), 0)
}

// ledgerHint returns the hint of pasteLedgerHint.
func (b *box) ledgerHint(want string) string {
	b.t.Helper()
	var line string
	for _, args := range [][]string{{"run", "--key", "new", "--", "touch", "ran"}, {"mark", "done", "new"}} {
		r := b.wantStatus(b.run(args...), 69)
		line = ""
		for _, m := range mendsIn(b.t, r.err) {
			if strings.Contains(m, want) {
				line = m
			}
		}
		if line == "" {
			b.t.Fatalf("stderr: got %s, want a hint with %q", r.err, want)
		}
	}
	if _, err := os.Stat(b.path("ran")); err == nil {
		b.t.Error("got an execution, want none")
	}
	return line
}

// The locks file is recreated as docs/recovery.md says. Afterwards, finished
// keys are replayed, and interrupted ones are known to be interrupted.
func TestE2ERecoveryOfLocks(t *testing.T) {
	t.Parallel()
	b := boxWithInterrupted(t)
	b.wantStatus(b.sh("rm ledger/locks"), 0)
	b.wantStatus(b.runTraced("done"), 69)
	b.pasteLedgerHint("touch ")
	if info, err := os.Stat(b.path("ledger/locks")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("locks: got %v and error %v, want mode 0600", info, err)
	}
	for _, key := range []string{"done", "last"} {
		if r := b.wantStatus(b.runTraced(key), 0); r.out != "out\n" {
			t.Errorf("got %+v, want stdout %q", r, "out\n")
		}
	}
	b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
	b.wantLines("side", 3)
	// The witness exists again as well, so a lost -wal is noticed.
	b.wantStatus(b.sh("rm ledger/ledger.db-wal ledger/ledger.db-shm"), 0)
	b.wantStatus(b.runTraced("another"), 69)
	b.wantLines("side", 3)
}

// The command of docs/recovery.md is harmless if the locks file exists, also
// while a command runs.
func TestE2ERecoveryLineIsHarmless(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("(umask 077; touch ledger/locks)"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 75)
	// These are the commands of docs/recovery.md that find out whether a command
	// runs.
	looks := []string{`ls -l /proc/[0-9]*/fd 2>/dev/null | grep -F " $DIR/"`, `grep -lsz "^IDEM_LEDGER=$DIR\$" /proc/[0-9]*/environ`}
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	for _, look := range looks {
		if !strings.Contains(page, look) {
			t.Errorf("docs/recovery.md: got no line %s, want it", look)
		}
		if out := b.shWithoutLedger(look); out == "" {
			t.Errorf("%s: got no output during a run, want its processes", look)
		}
	}
	b.write("go", "")
	b.wantStatus(c.wait(), 0)
	for _, look := range looks {
		if out := b.shWithoutLedger(look); out != "" {
			t.Errorf("%s: got %s after the run, want no output", look, out)
		}
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 0)
	b.wantLines("side", 1)
}

// The locks file is removed during a run. The outcome is recorded nevertheless.
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
		if name == "lost" { // ledger.db has all runs except the last one
			b.sql("")
			b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
			b.wantStatus(b.run("run", "--key", "later", "--", "sh", "-c", "echo x >>side"), 0)
			b.sqlLeft("select 1")
			b.wantStatus(b.sh("mv ledger.left/* ledger/"), 0)
			b.setLedger(b.path("ledger"))
		}
		lines := b.lines("side")
		b.wantStatus(b.sh(damage), 0)
		b.pasteRecoveryLine(`cp /dev/null "$DIR/locks"`)
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
		b.pasteRecoveryLine(`mv "$DIR" "$DIR.old"`)
		b.wantStatus(b.runTraced("done"), 0) // it runs again, as the page says
		b.wantLines("side", 4)
		if _, err := os.Stat(b.path("ledger.old/locks")); err != nil {
			t.Error(err)
		}
	}
}

// A backup is made while calls go on, and takes the place of the damaged ledger.
func TestE2ERecoveryFromABackup(t *testing.T) {
	t.Parallel()
	b := boxWithInterrupted(t)
	page := b.read(mustAbs(t, "../docs/recovery.md"))
	backup, restore := `idem --ledger "$DIR" ledger backup "$DIR.backup"`, `idem --ledger "$DIR" ledger restore "$DIR.backup" --replace`
	for _, line := range []string{backup, restore} {
		if !strings.Contains(page, line) {
			t.Errorf("docs/recovery.md: got no line %s, want it", line)
		}
	}
	b.wantStatus(b.sh("DIR=$IDEM_LEDGER; "+backup), 0)
	b.wantStatus(b.runTraced("after"), 0)
	b.wantStatus(b.sh("rm ledger/ledger.db*"), 0)
	b.wantStatus(b.runTraced("done"), 69)
	b.wantStatus(b.sh("DIR=$IDEM_LEDGER; "+restore+" </dev/null"), 64) // it cannot tell which keys run again
	b.wantStatus(b.sh("DIR=$IDEM_LEDGER; "+restore+" --yes"), 0)
	b.wantStatus(b.runTraced("done"), 0)
	b.wantStatus(b.run("run", "--key", "cut", "--", "bash", "-c", countingScript), 79)
	b.wantLines("side", 4)
	b.wantStatus(b.runTraced("after"), 0) // keys that were recorded after the backup run again
	b.wantLines("side", 5)
}

// shWithoutLedger runs a line in a shell that has no IDEM_LEDGER.
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
