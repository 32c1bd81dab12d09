package cmd_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// gcCounts is a part of the JSON of idem gc.
type gcCounts struct {
	Removed map[string]int
	Bytes   struct{ Before, After int64 }
	Kept    struct {
		Unreadable []string
	}
}

func (b *box) gc(args ...string) (counts gcCounts) {
	b.t.Helper()
	return gcCountsOf(b.t, b.wantStatus(b.run(append([]string{"gc", "--json"}, args...)...), 0).out)
}

// gcCountsOf reads the JSON of idem gc. It is empty after an error before any removal.
func gcCountsOf(t *testing.T, text string) (counts gcCounts) {
	t.Helper()
	if text != "" {
		testMust(t, json.Unmarshal([]byte(text), &counts))
	}
	return counts
}

const gcAll = "--outputs-older-than=0"

// gcBox has keys with small and large outputs.
func gcBox(t *testing.T) *box {
	b := newBox(t)
	for _, key := range []string{"a", "b"} {
		b.wantStatus(b.run("run", "--key", key, "--", "sh", "-c", "echo x >>side; head -c 100000 /dev/zero"), 0)
	}
	b.wantStatus(b.run("run", "--key", "small", "--", "echo", "out"), 0)
	return b
}

// changesFiles matches a system call that changes a file, by its path or descriptor.
var changesFiles = regexp.MustCompile(`\b(rename|unlink|link|symlink|mkdir|rmdir|chmod|fchmod|ftruncate|truncate|fsync|fdatasync|fallocate|utimensat|pwrite64|pwritev|sendfile|copy_file_range|write)(at|at2)?\(.*ledger/|O_(CREAT|TRUNC)`)

// A dry run changes nothing below the ledger, and says what the run then does.
func TestE2EGCDryRun(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := gcBox(t)
	b.wantStatus(b.run("run", "--key", "day", "--per", "day", "--", "true"), 0)
	flags := []string{gcAll, "--windows-older-than=0", "--max-bytes=1"}
	holder := b.idem("run", "--key", "held", "--", "sh", "-c", "touch up; until test -e go; do sleep 0.05; done")
	b.waitUntil("the holder", func() bool { _, err := os.Stat(b.path("up")); return err == nil })
	argv := append([]string{"strace", "-f", "-qq", "-y", "-e", "trace=file,desc", "-e", "signal=none", "-o", b.path("strace"), "idem", "gc", "-n"}, flags...)
	b.wantStatus(b.start(argv).wait(), 0)
	for line := range strings.Lines(b.read("strace")) {
		if strings.Contains(line, "ledger.db-") && strings.Contains(line, "open") { // SQLite opens both to read
			continue
		}
		if strings.Contains(line, b.path("ledger")) && changesFiles.MatchString(line) {
			t.Errorf("the dry run: %s", line)
		}
	}
	dry := b.gc(append(flags, "-n")...)
	did := b.gc(flags...)
	if dry.Removed["outputs"] != 3 || dry.Removed["records"] != 1 {
		t.Errorf("got %+v", dry)
	}
	for class, n := range dry.Removed {
		if did.Removed[class] != n {
			t.Errorf("%s: the run removed %d, want %d", class, did.Removed[class], n)
		}
	}
	if dry.Bytes != did.Bytes {
		t.Errorf("got %+v bytes, want %+v", did.Bytes, dry.Bytes)
	}
	for class, n := range b.gc(flags...).Removed {
		if n != 0 {
			t.Errorf("%s: a second run removed %d", class, n)
		}
	}
	b.write("go", "")
	b.wantStatus(holder.wait(), 0)
}

// age makes all outputs look as if they were written two days ago.
func (b *box) age() {
	b.t.Helper()
	entries, err := os.ReadDir(b.path("ledger/output"))
	testMust(b.t, err)
	for _, e := range entries {
		old := time.Now().Add(-48 * time.Hour)
		testMust(b.t, os.Chtimes(filepath.Join(b.path("ledger/output"), e.Name()), old, old))
	}
}

// A kill between the commit of a removal and the deletion of its file leaves a file that no record
// names. The next gc deletes it. Until then, the key replays as after the removal.
func TestE2EGCKilled(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"write.begun", "write.commit", "write.committed", "collect.committed"} {
		b := gcBox(t)
		before := len(b.spools())
		r := b.start([]string{failpointBinary(), "gc", gcAll}, killAt(point)).wait()
		if r.code != 137 {
			t.Fatalf("%s: got %+v, want status 137", point, r)
		}
		if n := len(b.spools()); n != before {
			t.Errorf("%s: got %d files, want %d", point, n, before)
		}
		for _, key := range []string{"a", "b"} {
			b.wantStatus(b.run("run", "--key", key, "--", "sh", "-c", "echo x >>side; head -c 100000 /dev/zero"), 0)
		}
		b.wantLines("side", 2)
		if strings.HasSuffix(point, ".committed") { // no record names the files; the name of an old run makes them old
			for i, name := range b.spools() {
				testMust(t, os.Rename(b.path("ledger/output/"+name), b.path(fmt.Sprintf("ledger/output/01900000-0000-7000-8000-%012d", i))))
			}
		}
		b.age()
		b.gc(gcAll)
		if n := len(b.spools()); n != 0 {
			t.Errorf("%s: got %d files after the next gc, want none", point, n)
		}
		b.wantStatus(b.run("run", "--key", "a", "--", "sh", "-c", "echo x >>side; head -c 100000 /dev/zero"), 0)
		b.wantLines("side", 2)
	}
}

// A kill while the rows of forgotten items are deleted leaves rows that no forgotten key leads to. The next gc
// deletes them.
func TestE2EGCKilledWhileForgetting(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"forget.spools", "forget.piece"} {
		b := newBox(t)
		b.wantStatus(b.sh("seq 1 5 | idem each --key batch -- echo {}"), 0)
		b.wantStatus(b.run("run", "--key", "job", "--", "sh", "-c", "idem step a -- sh -c 'idem step b -- true'"), 0)
		r := b.start([]string{failpointBinary(), "gc", "--keys-older-than=0", "--force", "*"}, killAt(point)).wait()
		if r.code != 137 {
			t.Fatalf("%s: got %+v, want status 137", point, r)
		}
		if n := b.countRows("records where parent<>0"); n == 0 {
			t.Fatalf("%s: the kill left no rows", point)
		}
		b.wantStatus(b.run("gc", "-n"), 0)
		b.gc()
		for _, rows := range []string{"records where parent<>0", "attempts a join records r on r.id=a.record where r.parent<>0"} {
			if n := b.countRows(rows); n != 0 {
				t.Errorf("%s: the next gc left %d %s", point, n, rows)
			}
		}
		b.wantStatus(b.run("gc", "--keys-older-than=0", "--force", "*"), 0)
		b.wantStatus(b.run("ledger", "check"), 0)
	}
}

// countRows counts rows of the ledger.
func (b *box) countRows(rows string) (n int) {
	b.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.ledger, "ledger.db"))
	testMust(b.t, err)
	defer db.Close()
	testMust(b.t, db.QueryRow("select count(*) from "+rows).Scan(&n))
	return n
}

// The row of one attempt is damaged: its output stays and is named, and all else goes on.
func TestE2EGCOfADamagedAttempt(t *testing.T) {
	t.Parallel()
	b := gcBox(t)
	testMust(t, os.Remove(b.path("ledger/output/"+b.spools()[1])))
	b.sql("update attempts set exit_code=7 where id=(select current from records where key=cast('a' as blob) or key='a')")
	if dry := b.gc("-n", gcAll, "--keys-older-than=0", "small"); dry.Removed["records"] != 1 {
		t.Errorf("dry run: got %+v", dry)
	}
	r := b.run("ledger", "repair")
	if !strings.Contains(r.out, "after: 0 outputs are gone; 1 recorded as removed") {
		t.Errorf("repair: got %+v", r)
	}
	r = b.wantStatus(b.run("gc", "--json", gcAll), 0)
	if !strings.Contains(r.err, `kept an output of key "a"`) || !strings.Contains(r.out, `"damaged": 1`) {
		t.Errorf("got %+v", r)
	}
	if n := len(b.spools()); n != 1 {
		t.Errorf("got %d files, want that of a", n)
	}
}

// A whole copy of the ledger is refused while a command runs, and then nothing is removed.
func TestE2EGCFullWhileRunning(t *testing.T) {
	t.Parallel()
	b := gcBox(t)
	holder := b.idem("run", "--key", "held", "--namespace", "other", "--", "sh", "-c", "touch up; until test -e go; do sleep 0.05; done")
	b.waitUntil("the holder", func() bool { _, err := os.Stat(b.path("up")); return err == nil })
	b.wantStatus(b.run("gc", "-n", "--vacuum=full", "--namespace=default", gcAll), 0)
	b.wantStatus(b.run("gc", "--vacuum=full", "--namespace=default", gcAll), 75)
	if n := len(b.spools()); n != 2 {
		t.Errorf("got %d files, want 2", n)
	}
	b.write("go", "")
	b.wantStatus(holder.wait(), 0)
	b.wantStatus(b.run("gc", "--vacuum=full", gcAll), 0)
	if n := len(b.spools()); n != 0 {
		t.Errorf("got %d files, want none", n)
	}
	b.wantStatus(b.run("ledger", "check"), 0)
}

// spools returns the names of the files with outputs.
func (b *box) spools() (names []string) {
	b.t.Helper()
	entries, err := os.ReadDir(b.path("ledger/output"))
	testMust(b.t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Only old files of outputs that no record names and no process has open are deleted. Foreign files and
// links are named and stay.
func TestE2EGCOrphans(t *testing.T) {
	t.Parallel()
	b := gcBox(t)
	const old, open, young, linked = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002", "01900000-0000-7000-8000-000000000003", "01900000-0000-7000-8000-000000000004"
	for _, name := range []string{old, open, "notes.txt"} {
		b.write("ledger/output/"+name, "text")
	}
	b.write("precious", "text")
	testMust(t, os.Symlink(b.path("precious"), b.path("ledger/output/"+linked)))
	testMust(t, os.Mkdir(b.path("ledger/output/dir"), 0o700))
	b.age()
	b.write("ledger/output/"+young, "text")
	f, err := os.OpenFile(b.path("ledger/output/"+open), os.O_WRONLY, 0)
	testMust(t, err)
	defer f.Close()
	if dry := b.gc("-n"); dry.Removed["spools"] != 1 || dry.Removed["outputs"] != 0 {
		t.Errorf("dry run: got %+v", dry)
	}
	did := b.gc()
	if did.Removed["spools"] != 1 || len(did.Kept.Unreadable) != 3 {
		t.Errorf("got %+v", did)
	}
	b.wantNoFile("ledger/output/" + old)
	for _, name := range []string{"ledger/output/" + open, "ledger/output/" + young, "ledger/output/notes.txt", "precious"} {
		if b.read(name) != "text" {
			t.Errorf("%s was changed", name)
		}
	}
	for _, key := range []string{"a", "b"} {
		if r := b.wantStatus(b.run("run", "--key", key, "--exact", "--", "sh", "-c", "echo x >>side; head -c 100000 /dev/zero"), 0); len(r.out) != 100000 {
			t.Errorf("%s: got %d bytes", key, len(r.out))
		}
	}
}

// A ledger that has lost its last commits is refused: the outputs of the lost attempts look like
// orphans.
func TestE2EGCOfADamagedLedger(t *testing.T) {
	t.Parallel()
	b := gcBox(t)
	b.wantStatus(b.sh("cp -a ledger old; echo"), 0)
	b.wantStatus(b.run("run", "--key", "late", "--", "head", "-c", "100000", "/dev/zero"), 0)
	b.wantStatus(b.sh("cp old/ledger.db old/ledger.db-wal ledger/ && rm -f ledger/ledger.db-shm"), 0)
	b.write("ledger/output/01900000-0000-7000-8000-000000000001", "text")
	b.age()
	n := len(b.spools())
	for _, flag := range []string{gcAll, "--outputs-older-than=never"} {
		b.wantStatus(b.run("gc", flag), 69)
	}
	if got := len(b.spools()); got != n {
		t.Errorf("got %d files, want %d", got, n)
	}
}

// Space that is free in the database goes back to the disk.
func TestE2EGCShrinks(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"auto", "full"} {
		b := newBox(t)
		for _, key := range strings.Split("abcdefghij", "") {
			b.wantStatus(b.run("run", "--key", key, "--", "head", "-c", "30000", "/dev/urandom"), 0)
		}
		size := func() int64 {
			info, err := os.Stat(b.path("ledger/ledger.db"))
			testMust(t, err)
			return info.Size()
		}
		b.gc(gcAll, "--vacuum=none")
		full := size()
		b.gc(gcAll, "--vacuum="+how)
		if now := size(); now > full/2 {
			t.Errorf("%s: got %d bytes of %d", how, now, full)
		}
		b.wantStatus(b.run("run", "--key", "a", "--", "head", "-c", "30000", "/dev/urandom"), 0)
	}
}
