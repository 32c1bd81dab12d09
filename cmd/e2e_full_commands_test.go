package cmd_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filesBelow returns the names below a directory, without those of calls, and without those that SQLite makes
// and removes as it opens and closes a ledger.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	testMust(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if !strings.HasSuffix(path, "-wal") && !strings.HasSuffix(path, "-shm") && !strings.Contains(path, "/.call-") {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// wantFiles checks that a directory has the same files as before.
func wantFiles(t *testing.T, dir string, want []string) {
	t.Helper()
	now := filesBelow(t, dir)
	for _, name := range now {
		if !slices.Contains(want, name) {
			t.Errorf("left behind: %s", name)
		}
	}
	for _, name := range want {
		if !slices.Contains(now, name) {
			t.Errorf("gone: %s", name)
		}
	}
}

// wantOneLine checks that a call explains its failure in one line. Warnings and hints do not count.
func wantOneLine(t *testing.T, what string, r result) {
	t.Helper()
	var told []string
	for line := range strings.Lines(r.err) {
		if !strings.HasPrefix(line, "idem: warning: ") && !strings.HasPrefix(line, "idem: hint: ") {
			told = append(told, line)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], "idem: ") || !strings.Contains(told[0], "space") || strings.Count(told[0], "idem: ") != 1 || len(told[0]) > 500 {
		t.Errorf("%s: got stderr %q, want one line about the space", what, r.err)
	}
}

// No command about a ledger loses anything on a full disk or leaves a part of a file there. Each one says so in one
// line, and succeeds when there is room.
func TestE2EFullDiskCommands(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	for _, c := range []struct {
		name  string
		args  []string // DISK is the full disk, ROOM another one
		code  int
		moves bool // with room, the ledger is at another place afterwards
	}{
		{name: "gc --vacuum full", args: []string{"gc", "--vacuum", "full"}, code: 69},
		{name: "backup", args: []string{"ledger", "backup", "DISK/copy"}, code: 69},
		{name: "backup to a tar", args: []string{"ledger", "backup", "DISK/copy.tar"}, code: 69},
		{name: "restore", args: []string{"--ledger", "DISK/restored", "ledger", "restore", "ROOM/backup.tar"}, code: 69},
		{name: "restore --replace", args: []string{"ledger", "restore", "--replace", "--yes", "ROOM/backup.tar"}, code: 69},
		{name: "move on the disk", args: []string{"ledger", "move", "DISK/moved"}, code: 69, moves: true},
		{name: "move away", args: []string{"ledger", "move", "ROOM/moved"}, code: 69, moves: true},
		{name: "import", args: []string{"ledger", "import", "ROOM/other.jsonl"}, code: 69},
		{name: "stats --output", args: []string{"stats", "--prometheus", "--output", "DISK/idem.prom"}, code: 69},
		{name: "report --html", args: []string{"report", "--html", "DISK/report.html"}, code: 69},
		{name: "repair", args: []string{"ledger", "repair"}, code: 0},
		{name: "check", args: []string{"ledger", "check"}, code: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			room := b.dir
			b.wantStatus(b.run("run", "--key", "other", "--", "head", "-c", "60000", "/dev/zero"), 0)
			b.wantStatus(b.sh("idem ledger export --outputs >other.jsonl"), 0)
			disk := b.mountLedger("2m")
			call := func(key string, n string) result {
				return b.run("run", "--key", key, "--", "sh", "-c", "echo x >>side; head -c "+n+" /dev/zero")
			}
			calls := func() (all []result) {
				for _, key := range []string{"small1", "small2", "small3", "small4"} {
					all = append(all, call(key, "10000"))
				}
				all = append(all, call("large", "100000"))
				return all
			}
			before := calls()
			b.wantStatus(b.run("ledger", "backup", "backup.tar"), 0)
			args := slices.Clone(c.args)
			for i := range args {
				args[i] = strings.NewReplacer("DISK", disk, "ROOM", room).Replace(args[i])
			}
			free := b.fillDisk(disk)
			onDisk, inRoom := filesBelow(t, disk), filesBelow(t, room)
			r := b.run(args...)
			if r.code != c.code {
				t.Fatalf("got %+v, want status %d", r, c.code)
			}
			if c.code != 0 {
				wantOneLine(t, c.name, r)
			}
			wantFiles(t, disk, onDisk)
			wantFiles(t, room, inRoom)
			after := calls()
			for i := range before {
				if after[i].code != before[i].code || after[i].out != before[i].out || after[i].err != before[i].err {
					t.Errorf("key %d: got status %d with %d bytes and %s, want the answer as before", i, after[i].code, len(after[i].out), after[i].err)
				}
			}
			b.wantStatus(b.run("ledger", "check"), 0)
			free()
			b.wantStatus(b.run(args...), 0)
			if !c.moves {
				for _, r := range calls() {
					b.wantStatus(r, 0)
				}
				b.wantLines("side", 5)
			}
		})
	}
}

// An export to a full disk ends with the error of stdout, and what is there is no whole export.
func TestE2EFullDiskExport(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "k", "--", "seq", "100"), 0)
	disk := b.smallDisk()
	free := b.fillDisk(disk)
	for _, command := range []string{"ledger export --outputs", "report --html -", "stats --prometheus", "list --json"} {
		r := b.wantStatus(b.sh("exec idem "+command+" >"+filepath.Join(disk, "file")), 1)
		wantOneLine(t, command, r)
	}
	b.wantStatus(b.run("--ledger", b.path("new"), "ledger", "import", filepath.Join(disk, "file")), 64)
	testMust(t, os.Remove(filepath.Join(disk, "file")))
	free()
	b.wantStatus(b.sh("exec idem ledger export --outputs >"+filepath.Join(disk, "file")), 0)
	b.wantStatus(b.run("--ledger", b.path("new"), "ledger", "import", filepath.Join(disk, "file")), 0)
}

// On a disk that is almost full, idem gc removes what it can, and says exactly how much.
func TestE2EFullDiskGC(t *testing.T) {
	t.Parallel()
	for _, what := range [][]string{{"--outputs-older-than", "0"}, {"--keys-older-than", "0", "k*"}} {
		b := newBox(t)
		disk := b.mountLedger("2m")
		const keys = 12
		for i := range keys {
			b.wantStatus(b.run("run", "--key", fmt.Sprint("k", i), "--", "sh", "-c", "echo x >>side; head -c 20000 /dev/urandom"), 0)
		}
		b.fillDisk(disk)
		gone := 0
		for room := int64(0); gone < keys; room += 4096 {
			if room > 1<<20 {
				t.Fatalf("%q: %d of %d are gone with %d bytes of room", what, gone, keys, room)
			}
			info, err := os.Stat(filepath.Join(disk, "filler"))
			testMust(t, err)
			testMust(t, os.Truncate(filepath.Join(disk, "filler"), max(0, info.Size()-4096)))
			r := b.run(append([]string{"gc", "--json"}, what...)...)
			told := gcCountsOf(t, r.out)
			gone += told.Removed["outputs"] + told.Removed["records"]
			if r.code == 69 {
				wantOneLine(t, "gc", r)
			} else if r.code != 0 {
				t.Fatalf("got %+v", r)
			}
			left := 0
			for line := range strings.Lines(b.wantStatus(b.run("list", "--jsonl"), 0).out) {
				if strings.Contains(line, `"output_removed_at":null`) {
					left++
				}
			}
			if left != keys-gone {
				t.Fatalf("%q with %d bytes of room: %d are left, and idem gc has told that %d of %d are gone: %+v", what, room, left, gone, keys, r)
			}
			b.wantStatus(b.run("ledger", "check"), 0)
		}
		b.wantLines("side", keys)
	}
}
