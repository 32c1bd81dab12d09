package cmd_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A ledger from before numbered migrations answers each question as the idem
// did that created it, apart from fields that JSON has got since.
// testdata/ledger-1/make.sh created it.
func TestE2EOldLedgerAnswersTheSame(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.unpack("testdata/ledger-1/ledger.tar.gz")
	b.env = append(b.env, "TZ=UTC", "TARGET=prod")
	data, err := filepath.Abs("testdata/ledger-1")
	if err != nil {
		t.Fatal(err)
	}
	r := b.sh("set -e; . " + data + "/inputs.sh; sh " + data + "/questions.sh")
	b.wantStatus(r, 0)
	want, err := os.ReadFile(filepath.Join(data, "answers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if r.out == string(want) {
		return
	}
	got, question := strings.Split(r.out, "\n"), ""
	for i, line := range strings.Split(string(want), "\n") {
		if strings.HasPrefix(line, "$ ") {
			question = line
		}
		if i == len(got) || got[i] != line {
			t.Fatalf("%s: line %d\ngot  %q\nwant %q", question, i+1, got[min(i, len(got)-1)], line)
		}
	}
	t.Errorf("got more lines than questions: %q", got[len(got)-1])
}

// unpack unpacks an archive of files and directories into the box, with their
// modes whatever the umask.
func (b *box) unpack(archive string) {
	b.t.Helper()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	f, err := os.Open(archive)
	must(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(err)
		path := b.path(h.Name)
		if h.Typeflag == tar.TypeDir {
			must(os.Mkdir(path, 0o700))
		} else {
			content, err := io.ReadAll(r)
			must(err)
			must(os.WriteFile(path, content, 0o600))
		}
		must(os.Chmod(path, h.FileInfo().Mode().Perm()))
	}
}

// extraColumn is a migration that a later idem may have.
const extraColumn = "alter table attempts add column extra text not null default ''"

// withNewerMigration gives a call of failpointBinary() one more migration, as a
// later idem may have.
func withNewerMigration(c *exec.Cmd) { c.Env = append(c.Env, "IDEM_FAILPOINT_MIGRATION="+extraColumn) }

// killAt makes a call kill itself at a failpoint.
func killAt(point string) func(*exec.Cmd) {
	return func(c *exec.Cmd) { c.Env = append(c.Env, "IDEM_FAILPOINT="+point) }
}

// The first call of a later idem migrates the ledger and may be killed during
// that. The key is neither lost nor run again, whether an earlier or a later
// idem makes the next call.
func TestE2EMigrationIsKilled(t *testing.T) {
	t.Parallel()
	for _, first := range [][]string{{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; echo out"}, {"list"}} {
		for point, migrated := range map[string]bool{"migrate.locked": false, "migrate.commit": false, "migrate.done": true} {
			b := newBox(t)
			work := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; echo out"}
			b.wantStatus(b.run(work...), 0)
			if r := b.start(append([]string{failpointBinary()}, first...), withNewerMigration, killAt(point)).wait(); r.code != 137 {
				t.Fatalf("%s: got %+v, want status %d", point, r, 137)
			}
			code := map[bool]int{false: 0, true: 69}[migrated]
			if r := b.run(work...); r.code != code {
				t.Errorf("%s, the earlier idem: got %+v, want status %d", point, r, code)
			}
			for range 2 {
				if r := b.start(append([]string{failpointBinary()}, work...), withNewerMigration).wait(); r.code != 0 || r.out != "out\n" {
					t.Errorf("%s, the later idem: got %+v, want status 0 and stdout out", point, r)
				}
			}
			b.wantLines("side", 1)
		}
	}
}

// A later idem migrates the ledger while an earlier one runs a command. Its
// outcome is recorded, and the later idem replays it.
func TestE2EMigrationUnderARun(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"claim.before", "write.begun", "finish.before", "write.commit:2"} {
		b := newBox(t)
		work := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; echo out"}
		b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
		h := b.pauseAt(point, work...)
		var c *call
		if point == "write.begun" || strings.HasPrefix(point, "write.commit") { // it holds the write lock
			c = b.start([]string{failpointBinary(), "run", "--key", "later", "--", "echo", "later"}, withNewerMigration)
		} else if r := b.start([]string{failpointBinary(), "run", "--key", "later", "--", "echo", "later"}, withNewerMigration).wait(); r.code != 0 {
			t.Errorf("%s: got %+v, want status %d", point, r, 0)
		}
		b.wantStatus(h.resume(), 0)
		if c != nil {
			b.wantStatus(c.wait(), 0)
		}
		for _, key := range []string{"k", "other", "later"} {
			if r := b.start([]string{failpointBinary(), "show", key}, withNewerMigration).wait(); r.code != 0 || !strings.Contains(r.out, "succeeded") {
				t.Errorf("%s, %s: got %+v, want status %d and stdout with %q", point, key, r, 0, "succeeded")
			}
		}
		if r := b.start(append([]string{failpointBinary()}, work...), withNewerMigration).wait(); r.code != 0 || r.out != "out\n" {
			t.Errorf("%s: got %+v, want status %d and stdout %q", point, r, 0, "out\n")
		}
		b.wantLines("side", 1)
	}
}

// Many calls of a later idem start at once. The ledger is migrated once, and
// each call replays.
func TestE2EMigrationByMany(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	work := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; echo out"}
	b.wantStatus(b.run(work...), 0)
	var calls []*call
	for i := range 12 {
		args := work
		if i%3 == 0 {
			args = []string{"run", "--key", fmt.Sprint("new", i), "--", "echo", "out"}
		}
		calls = append(calls, b.start(append([]string{failpointBinary()}, args...), withNewerMigration))
	}
	for _, c := range calls {
		if r := c.wait(); r.code != 0 || r.out != "out\n" {
			t.Errorf("got %+v, want status %d and stdout %q", r, 0, "out\n")
		}
	}
	b.wantLines("side", 1)
}

// The ledger is moved or replaced during its migration. No remaining ledger
// lets the key run again.
func TestE2EReplacedUnderAMigration(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"moved away", "moved away, a new one", "replaced by a copy", "replaced and put back"} {
		for _, point := range []string{"migrate.locked", "migrate.commit", "migrate.done"} {
			t.Run(name+"/"+point, func(t *testing.T) {
				t.Parallel()
				b := newBox(t)
				work := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; echo out"}
				b.wantStatus(b.run(work...), 0)
				b.env = append(b.env, "IDEM_FAILPOINT_MIGRATION="+extraColumn)
				h := b.pauseAt(point, work...)
				b.wantStatus(b.sh("set -e; "+ledgerReplacements[name]), 0) // by an idem without the migration
				if r := h.resume(); r.code != 69 && (r.code != 0 || r.out != "out\n") {
					t.Errorf("got %+v, want status 69, or 0 and stdout %q", r, "out\n")
				}
				for _, place := range []string{"ledger", "old", "new", "copy"} {
					if _, err := os.Stat(b.path(place + "/ledger.db")); err != nil {
						continue
					}
					b.setLedger(b.path(place))
					list := b.start([]string{failpointBinary(), "list", "--json"}).wait()
					b.wantStatus(list, 0)
					if !strings.Contains(list.out, `"k"`) {
						continue
					}
					if r := b.start(append([]string{failpointBinary()}, work...)).wait(); r.code != 0 || r.out != "out\n" {
						t.Errorf("%s: got %+v, want status %d and stdout %q", place, r, 0, "out\n")
					}
				}
				b.wantLines("side", 1)
			})
		}
	}
}
