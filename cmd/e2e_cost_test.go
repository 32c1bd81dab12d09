package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var syncs = regexp.MustCompile(`\b(fsync|fdatasync)\(`)

// countSyncs runs a command line under strace and returns the number of its
// syncs. code is the exit status that it must have.
func (b *box) countSyncs(code int, argv ...string) int {
	b.t.Helper()
	b.wantStatus(b.start(append([]string{"strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", b.path("strace"), "idem"}, argv...)).wait(), code)
	return len(syncs.FindAllString(b.read("strace"), -1))
}

// A run costs at most three syncs with little output and five with much. A
// replay, a refusal and a command that only reads cost none.
func TestE2ESyncs(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	// The first run creates the ledger. After four more runs its -wal is written
	// back, which costs three syncs once in a while.
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	for _, c := range []struct {
		most, code int
		argv       []string
	}{
		{3, 0, []string{"run", "--key", "small", "--", "echo", "out"}},
		{3, 0, []string{"run", "--key", "silent", "--", "true"}},
		{3, 3, []string{"run", "--key", "failed", "--", "sh", "-c", "exit 3"}},
		{5, 0, []string{"run", "--key", "large", "--", "head", "-c", "1000000", "/dev/zero"}},
		{0, 0, []string{"run", "--key", "small", "--", "echo", "out"}},
		{0, 0, []string{"run", "--key", "large", "--", "head", "-c", "1000000", "/dev/zero"}},
		{0, 65, []string{"run", "--key", "small", "--", "echo", "other"}},
		{0, 127, []string{"run", "--key", "none", "--", "/nonexistent/command"}},
		{0, 0, []string{"list"}},
		{0, 0, []string{"show", "small"}},
		{0, 0, []string{"logs", "large"}},
	} {
		if n := b.countSyncs(c.code, c.argv...); n > c.most {
			t.Errorf("%q: got %d syncs, want at most %d:\n%s", c.argv, n, c.most, b.read("strace"))
		}
	}
}

// An output that is not stored adds no sync.
func TestE2ESyncsWithoutOutput(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	for _, script := range []string{"echo out", "head -c 1000000 /dev/zero"} {
		if n := b.countSyncs(0, "run", "--key", script, "--no-store", "output", "--", "sh", "-c", script); n > 3 {
			t.Errorf("%q: got %d syncs, want at most 3:\n%s", script, n, b.read("strace"))
		}
	}
}

// No code of the released binary looks up a method by a name that is computed, as a
// template does. With such code the linker keeps all exported methods: 1.3 MB, which is
// 3 % of the time of a replay.
func TestE2ENoMethodByName(t *testing.T) {
	t.Parallel()
	newBox(t)
	out, err := exec.Command("go", "tool", "nm", filepath.Join(binary(), "idem")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte(" runtime.main\n")) || bytes.Contains(out, []byte(" reflect.Value.MethodByName\n")) {
		t.Error("got reflect.Value.MethodByName among the linked functions, want none: go build -ldflags=-dumpdep shows what links it")
	}
}

// The items of a batch share syncs. A list that is done costs none, and idem forget of a batch
// costs a few for a thousand items.
func TestE2ESyncsOfABatch(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	b.wantStatus(b.sh("seq 100 >few; seq 1000 >many"), 0)
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	b.wantStatus(b.run("each", "--key", "k", "-j", "8", "--arg-file", "many", "--", "true"), 0)
	if info, err := os.Stat(filepath.Join(b.ledger, "ledger.db-wal")); err != nil || info.Size() > 0 {
		t.Errorf("after the batch, got a -wal of %v, error %v; want an empty one, since each process that opens the ledger reads it", info, err)
	}
	for _, c := range []struct {
		most int
		argv []string
	}{
		{100, []string{"each", "--key", "few", "-j", "8", "--arg-file", "few", "--", "true"}},
		{0, []string{"each", "--key", "k", "-j", "8", "--arg-file", "many", "--", "true"}},
		{20, []string{"forget", "k"}},
	} {
		if n := b.countSyncs(0, c.argv...); n > c.most {
			t.Errorf("%q: got %d syncs, want at most %d", c.argv, n, c.most)
		}
	}
	b.wantStatus(b.run("show", "k/1"), 1)
}
