package cmd_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A replay appends no damaged record of a file, and writes nothing else either.
func TestE2EFilesDamaged(t *testing.T) {
	t.Parallel()
	run := []string{"run", "--key", "k", "--replay-file", "f", "--replay-file", "g", "--", "sh", "-c", "echo out; echo one >>f; echo two >>g; echo x >>side"}
	for name, damage := range map[string]string{
		"content":    "update files set content = cast('twO' || char(10) as blob) where position = 1",
		"name":       "update files set name = cast('g2' as blob) where position = 1",
		"gone":       "delete from files where position = 1",
		"all gone":   "delete from files",
		"one more":   "insert into files select attempt, 2, name, place, lost, checksum, content from files where position = 1",
		"order":      "update files set position = 2 - position",
		"the number": "update attempts set files = 1",
		"no table":   "drop table files",
	} {
		b := newBox(t)
		b.wantStatus(b.run(run...), 0)
		b.sql(damage)
		for range 2 {
			if r := b.wantStatus(b.run(run...), 69); r.out != "" || !strings.Contains(r.err, "damaged") {
				t.Errorf("%s: got %+v, want no stdout and stderr with %q", name, r, "damaged")
			}
		}
		for _, file := range []string{"f", "g", "side"} {
			b.wantLines(file, 1)
		}
	}
}

// A replay is refused if it may not write to one of its files.
func TestE2EFilesNotWritable(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.useUnprivilegedUser()
	run := []string{"run", "--key", "k", "--replay-file", "f", "--replay-file", "g", "--", "sh", "-c", "echo out; echo one >>f; echo two >>g"}
	b.wantStatus(b.run(run...), 0)
	b.wantStatus(b.sh("chmod 400 g"), 0)
	if r := b.wantStatus(b.run(run...), 69); r.out != "" || !strings.Contains(r.err, `"g"`) || !strings.Contains(r.err, "denied") {
		t.Errorf("got %+v, want no stdout, stderr with %q and %q", r, `"g"`, "denied")
	}
	b.wantLines("f", 1)
	b.wantStatus(b.sh("chmod 600 g"), 0)
	b.wantStatus(b.run(run...), 0)
	b.wantLines("f", 2)
	b.wantLines("g", 2)

	// A read-only file is allowed, because the command may have more rights.
	b.wantStatus(b.sh("chmod 400 g"), 0)
	b.wantStatus(b.run("run", "--key", "k2", "--replay-file", "g", "--", "sh", "-c", "chmod 600 g; echo three >>g"), 0)
	b.wantStatus(b.run("run", "--key", "k2", "--replay-file", "g", "--", "sh", "-c", "chmod 600 g; echo three >>g"), 0)
	b.wantLines("g", 4)

	// An unreadable file is refused, because idem could not record what is
	// appended to it.
	b.wantStatus(b.sh("chmod 200 g"), 0)
	if r := b.wantStatus(b.run("run", "--key", "k3", "--replay-file", "g", "--", "touch", "side"), 64); !strings.Contains(r.err, "denied") {
		t.Errorf("got %+v, want stderr with %q", r, "denied")
	}
	b.wantLines("side", 0)
}

// The disk of a file gets full in the middle of a replay.
func TestE2EFilesFullDiskAtReplay(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	ledger := b.ledger
	dir := b.mountLedger("1m")
	b.setLedger(ledger)
	run := []string{"run", "--key", "k", "--replay-file", "first", "--replay-file", "mnt/f", "--", "sh", "-c", "echo x >>side; echo x >>first; seq 10000 >>mnt/f"}
	b.wantStatus(b.run(run...), 0)
	free := b.fillDisk(dir)
	// However often the call is repeated, a failed replay leaves no part of it in
	// a file.
	for range 2 {
		b.wantStatus(b.run(run...), 69)
		b.wantLines("first", 1)
		b.wantLines("mnt/f", 10000)
	}
	free()
	b.wantStatus(b.run(run...), 0)
	b.wantLines("first", 2)
	b.wantLines("mnt/f", 20000)
	b.wantLines("side", 1)
}

// The ledger's disk fills up. Output is dropped first, and files are recorded
// as long as there is room. Without room for them, the outcome is unknown.
func TestE2EFilesFullLedger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		first, again int
	}{
		{"output", "seq 200000; echo f >>f", 0, 74}, // a part of the output is missing
		{"file", "seq 200000 >>f", 125, 79},
	} {
		b := newBox(t)
		b.mountLedger("1m")
		run := []string{"run", "--key", "k", "--replay-file", "f", "--", "sh", "-c", test.script + "; echo x >>side"}
		b.wantStatus(b.run(run...), test.first)
		size := b.size("f")
		if r := b.wantStatus(b.run(run...), test.again); test.again == 74 && b.lines("f") != 2 || test.again == 79 && b.size("f") != size {
			t.Errorf("%s: got %+v and %d bytes in f, want status %d", test.name, r, b.size("f"), test.again)
		}
		b.wantLines("side", 1)
		b.wantStatus(b.run("list"), 0)
	}
}

func (b *box) size(name string) int64 {
	b.t.Helper()
	info, err := os.Stat(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return info.Size()
}

// A call is killed at any moment. If the key has succeeded, all that the
// command appended is recorded.
func TestE2EFilesKilled(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	codes := map[int]int{}
	for i := range 20 {
		file, key := fmt.Sprint("f", i), fmt.Sprint("k", i)
		run := []string{"run", "--key", key, "--replay-file", file, "--", "sh", "-c", "seq 50000 >>" + file + "; echo x >>side" + key}
		c := b.idem(run...)
		b.waitLines("side"+key, 1)                  // about now, the outcome is being recorded
		_ = syscall.Kill(-c.pid(), syscall.SIGKILL) // or it has ended already
		c.wait()
		b.wantStatus(b.sh("mv "+file+" "+file+".first"), 0)
		// A killed process may take a moment to disappear.
		r := b.run(append([]string{"run", "--wait"}, run[1:]...)...)
		codes[r.code]++
		switch r.code {
		case 0:
			b.wantStatus(b.sh("cmp "+file+" "+file+".first"), 0)
		case 79:
			if _, err := os.Stat(b.path(file)); err == nil {
				t.Error("got an appended file, want none for an interrupted attempt")
			}
		default:
			t.Errorf("got %+v, want status 0 or 79", r)
		}
		b.wantLines("side"+key, 1)
	}
	t.Logf("exit statuses of the calls after: %v", codes)
}
