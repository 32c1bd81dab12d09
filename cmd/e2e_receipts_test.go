package cmd_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
)

// A replay reads the receipt of the key, and does not open the database. Without ledger.db, without
// locks, or with another option, the receipt is not enough.
func TestE2EReplayOpensNoDatabase(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	call := []string{"run", "--key", "k", "--", "echo", "out"}
	b.wantStatus(b.run(call...), 0)
	opens := func(argv ...string) bool {
		r := b.start(append([]string{"strace", "-f", "-qq", "-e", "trace=openat,open", "-e", "signal=none", "-o", b.path("strace"), "idem"}, argv...)).wait()
		b.wantStatus(r, 0)
		return strings.Contains(b.read("strace"), "ledger.db\"")
	}
	if opens(call...) {
		t.Errorf("a replay opens the database:\n%s", b.read("strace"))
	}
	if !opens("list") {
		t.Error("idem list opens no database, so the test proves nothing")
	}
	for _, name := range []string{"ledger.db", "locks"} {
		from := filepath.Join(b.ledger, name)
		testMust(t, os.Rename(from, b.path(name)))
		b.wantStatus(b.run(call...), 69)
		testMust(t, os.Rename(b.path(name), from))
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "echo", "other"), 65)
}

// A success is replaced after the receipt of another key has taken the slot of its receipt. The later
// receipt was not synced, so the disk may still have the earlier one. It must not outlast a power cut.
func TestE2EReceiptOfAnotherKeyIsSynced(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	slot := func(key string) int { // of 1<<15
		name := filelock.NameOf(ledger.ID{Namespace: "default", Key: key})
		return int(name[6])<<7 | int(name[7])>>1
	}
	first, other := "k", ""
	for n := 0; other == "" || slot(first) != slot(other); n++ {
		other = fmt.Sprint("k", n)
	}
	b := newBox(t)
	run := func(key string, want int) []string {
		if want == 0 {
			_ = os.Remove(b.path("fails"))
		} else {
			b.write("fails", "")
		}
		return []string{"run", "--force", "--key", key, "--", "test", "!", "-e", b.path("fails")}
	}
	for _, second := range []int{0, 1} { // the slot has a receipt, and none again
		for _, change := range []string{"run", "mark", "forget"} {
			b.wantStatus(b.run(run(first, 0)...), 0)
			b.wantStatus(b.run(run(other, second)...), second)
			argv, want := []string{change, first}, 0
			switch change {
			case "run":
				argv, want = run(first, 1), 1
			case "mark":
				argv = []string{"mark", "retry", "--force", first}
			}
			b.wantStatus(b.start(append([]string{"strace", "-f", "-y", "-qq", "-e", "trace=fsync", "-e", "signal=none", "-o", b.path("strace"), "idem"}, argv...)).wait(), want)
			synced, _, committed := strings.Cut(b.read("strace"), "/ledger.db-wal>")
			if !committed || !strings.Contains(synced, "/receipts>") {
				t.Errorf("%q commits without a sync of the receipts:\n%s", argv, b.read("strace"))
			}
		}
	}
}

// A limit on the size of files that the sparse file does not fit in leaves the receipts out.
func TestE2EReceiptsAndFileLimit(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for _, key := range []string{"new", "old"} {
		r := b.start([]string{"sh", "-c", "ulimit -f 2000; exec idem run --key " + key + " -- echo out"}).wait()
		b.wantStatus(r, 0)
		if _, err := os.Stat(filepath.Join(b.ledger, "receipts")); (err == nil) != (key == "old") {
			t.Errorf("key %s: got %v", key, err)
		}
		b.wantStatus(b.run("run", "--key", "without a limit", "--", "true"), 0) // makes the file
		b.wantStatus(b.run("run", "--key", key, "--", "echo", "out"), 0)
	}
}

// The files of another ledger with as many commits are put in place of the present ones. The next writer
// must not make the receipts of the earlier records valid again.
func TestE2EReceiptsBesideAnotherLedger(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	other := b.path("other")
	for _, key := range []string{"a", "b"} {
		b.wantStatus(b.run("run", "--key", key, "--", "echo", "old"), 0)
		b.wantStatus(b.run("run", "--ledger", other, "--key", "other "+key, "--", "echo", "old"), 0)
	}
	files := []string{"ledger.db", "ledger.db-wal", "locks"}
	for name, f := range saved(t, other, files) {
		f.put(t, filepath.Join(b.ledger, name))
	}
	testMust(t, os.Remove(filepath.Join(b.ledger, "ledger.db-shm")))
	b.wantStatus(b.run("run", "--key", "next", "--", "true"), 0)
	for _, key := range []string{"a", "b"} {
		if r := b.run("run", "--key", key, "--", "echo", "new"); r.code != 0 || r.out != "new\n" {
			t.Errorf("key %s, which ledger.db does not have: got %d %s%s", key, r.code, r.out, r.err)
		}
	}
	b.wantStatus(b.run("ledger", "check"), 0)
}

// The keys a and 80220 share a slot. The receipt of the later one has replaced that of the earlier one, perhaps
// only in memory. So before the earlier record is forgotten, the file is synced: a power cut must
// not bring its receipt back.
func TestE2EReceiptUnderAnother(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	syncs := func(argv ...string) bool {
		r := b.start(append([]string{"strace", "-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", b.path("strace"), "idem"}, argv...)).wait()
		b.wantStatus(r, 0)
		return strings.Contains(b.read("strace"), "/receipts>")
	}
	b.wantStatus(b.run("run", "--key", "a", "--", "true"), 0)
	if syncs("run", "--key", "80220", "--", "true") {
		t.Errorf("a first run syncs the receipts:\n%s", b.read("strace"))
	}
	if !syncs("forget", "a") {
		t.Errorf("the receipt that was replaced is not synced:\n%s", b.read("strace"))
	}
	b.wantStatus(b.run("run", "--key", "other slot", "--", "true"), 0)
	if !syncs("forget", "other slot") || !syncs("forget", "80220") {
		t.Errorf("an erased receipt is not synced:\n%s", b.read("strace"))
	}
}

// The lowest limit on open files with which the database can be read is enough for a replay, and a
// lower one ends no call with a crash.
func TestE2EReceiptsAndOpenFiles(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "k", "--", "true"), 0)
	for n := 5; n < 12; n++ {
		r := b.start([]string{"sh", "-c", "ulimit -n " + strconv.Itoa(n) + "; exec idem run --key k -- true"}).wait()
		if strings.Contains(r.err, "runtime:") {
			t.Errorf("%d open files: got %d %s", n, r.code, r.err)
		}
	}
}

// Old files of a ledger are put with newer ones in every combination, in place and with the times
// of both, as rsync --inplace --times does. The receipts change nothing about the answer: it is that of a
// copy without them.
func TestE2EReceiptsFromAnotherTime(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	files := []string{"ledger.db", "ledger.db-wal", "locks", "receipts"}
	b.wantStatus(b.run("run", "--key", "k", "--", "echo", "old"), 0)
	b.wantStatus(b.run("run", "--key", "kept", "--", "echo", "kept"), 0)
	old := saved(t, b.ledger, files)
	b.wantStatus(b.run("forget", "k"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", "exit 3"), 3)
	now := saved(t, b.ledger, files)
	replayed := 0
	for mix := range 1 << len(files) {
		for i, name := range files {
			from := now
			if mix>>i&1 == 1 {
				from = old
			}
			from[name].put(t, filepath.Join(b.ledger, name))
		}
		testMust(t, os.RemoveAll(filepath.Join(b.ledger, "ledger.db-shm")))
		bare := filepath.Join(t.TempDir(), "bare")
		testMust(t, os.CopyFS(bare, os.DirFS(b.ledger)))
		testMust(t, filepath.WalkDir(bare, func(path string, d fs.DirEntry, err error) error {
			mode := fs.FileMode(0o600)
			if d.IsDir() {
				mode = 0o700
			}
			return os.Chmod(path, mode)
		}))
		testMust(t, os.Remove(filepath.Join(bare, "receipts")))
		for _, key := range []string{"k", "kept"} {
			for _, argv := range [][]string{{"show", "--json", key}, {"check", "--key", key, "--", "echo", key}} {
				at := func(ledger string) result {
					return b.run(slices.Insert(slices.Clone(argv), 1, "--ledger", ledger)...)
				}
				got, want := at(b.ledger), at(bare)
				if got.code != want.code || ages.ReplaceAllString(got.out, "") != ages.ReplaceAllString(want.out, "") {
					t.Errorf("old are %04b of %v: %q: got %d %s%s, want %d %s%s", mix, files, argv, got.code, got.out, got.err, want.code, want.out, want.err)
				}
				if got.code == 0 {
					replayed++
				}
			}
		}
	}
	if replayed == 0 {
		t.Error("no combination was readable, so the test proves nothing")
	}
}

// ages are the parts of an answer that depend on the time of the call.
var ages = regexp.MustCompile(`\([^)]* ago\)|\(now\)|"ledger": "[^"]*",?|"age_seconds": \d+,`)

type savedFile struct {
	content []byte
	time    time.Time
}

func saved(t *testing.T, dir string, names []string) map[string]savedFile {
	t.Helper()
	all := map[string]savedFile{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		testMust(t, err)
		info, err := os.Stat(filepath.Join(dir, name))
		testMust(t, err)
		all[name] = savedFile{content, info.ModTime()}
	}
	return all
}

// put writes the content into the file that is there, which stays the same file.
func (s savedFile) put(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600)
	testMust(t, err)
	_, err = f.Write(s.content)
	testMust(t, err)
	testMust(t, f.Close())
	testMust(t, os.Chtimes(path, s.time, s.time))
}
