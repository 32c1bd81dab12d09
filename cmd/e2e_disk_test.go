package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount and unmount run the commands, because the system calls differ between
// systems.
func mount(args ...string) error { return runCommand(exec.Command("mount", args...)) }

func unmount(dir string) error { return runCommand(exec.Command("umount", "-l", dir)) }

func runCommand(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// mountLedger mounts a file system over a new directory next to the ledger and
// moves the ledger there. The test's cleanup unmounts it.
func (b *box) mountLedger(size string) (dir string) {
	b.t.Helper()
	requireRoot(b.t)
	dir = b.path("mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := mount("-t", "tmpfs", "-o", "mode=700,size="+size, "tmpfs", dir); err != nil {
		skipMissing(b.t, "the right to mount a tmpfs: "+err.Error())
	}
	b.t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			b.t.Error(err)
		}
	})
	b.setLedger(filepath.Join(dir, "ledger"))
	return dir
}

// setLedger sets the ledger of later calls.
func (b *box) setLedger(dir string) {
	b.ledger = dir
	b.env = append(b.env, "IDEM_LEDGER="+dir)
}

// fillDisk uses all space of a file system and returns a function that frees
// it.
func (b *box) fillDisk(dir string) (free func()) {
	b.t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		b.t.Fatal(err)
	}
	return func() { os.Remove(name) }
}

// The disk is full before the run, and there is no ledger.
func TestE2EFullBefore(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	free := b.fillDisk(b.mountLedger("1m"))
	run := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side"}
	for range 2 {
		if r := b.wantStatus(b.run(run...), 69); !strings.Contains(r.err, "full") && !strings.Contains(r.err, "space") {
			t.Errorf("stderr: got %s, want it with full or space", r.err)
		}
	}
	b.wantLines("side", 0)
	free()
	b.wantStatus(b.run(run...), 0)
	b.wantStatus(b.run(run...), 0)
	b.wantLines("side", 1)
}

// The disk is full and there is a ledger, which may have room left for some
// records. Each exit status must be true.
func TestE2EFullLater(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	dir := b.mountLedger("1m")
	b.wantStatus(b.run("run", "--key", "before", "--", "true"), 0)
	free := b.fillDisk(dir)
	const n = 40
	codes := map[int]int{}
	run := func(i int) result {
		return b.run("run", "--key", fmt.Sprint("k", i), "--", "sh", "-c", "echo x >>side.$IDEM_KEY")
	}
	for i := range n {
		side, want := fmt.Sprint("side.k", i), map[int]int{0: 1, 69: 0, 125: 1}
		r := run(i)
		codes[r.code]++
		if ran, ok := want[r.code]; !ok {
			t.Fatalf("got %+v, want one of the statuses %v", r, want)
		} else {
			b.wantLines(side, ran)
		}
		switch again := run(i); {
		case r.code == 0:
			b.wantStatus(again, 0)
		case r.code == 125:
			b.wantStatus(again, 79)
		default:
			b.wantStatus(again, 69)
		}
	}
	t.Logf("exit statuses: %v", codes)
	if codes[69] == 0 {
		t.Error("got no status 69, want a full disk")
	}
	b.wantStatus(b.run("run", "--key", "before", "--", "true"), 0)
	b.wantStatus(b.run("list"), 0)
	free()
	for i := range n {
		if r := run(i); r.code != 0 && r.code != 79 {
			t.Errorf("got %+v, want status 0 or 79", r)
		}
		if n := b.lines(fmt.Sprint("side.k", i)); n != 1 {
			t.Errorf("k%d: got %d executions, want 1", i, n)
		}
	}
}

// The output fills the disk up. The command and its reader do not notice it,
// and the result is known.
func TestE2EFillsUpByOutput(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"1m", "2m"} {
		for code := range 2 {
			b := newBox(t)
			b.mountLedger(size)
			b.write("code", strings.Repeat("x\n", code))
			run := []string{
				"run", "--key", "k", "--on-failure", "replay", "--",
				"bash", "-c", "head -c 5242880 /dev/zero; echo x >>side; echo end; exit $(wc -l <code)",
			}
			r := b.wantStatus(b.run(run...), code)
			if len(r.out) != 5242880+4 || !strings.HasSuffix(r.out, "end\n") {
				t.Errorf("the caller got %d bytes, want 5242884 with the end", len(r.out))
			}
			if !strings.Contains(r.err, "recorded") {
				t.Errorf("stderr: got %q, want a warning", r.err)
			}
			if !b.show("k").Truncated {
				t.Error("got a complete record, want a truncated one")
			}
			again := b.wantStatus(b.run(run...), map[int]int{0: 74, 1: 1}[code])
			// Nothing is replayed if there was no room for output next to the
			// outcome.
			if n := len(again.out); n > len(r.out) || !strings.Contains(again.err, "not complete") {
				t.Errorf("got a replay of %d bytes and stderr %s, want at most %d bytes, not complete", n, again.err, len(r.out))
			}
			b.wantLines("side", 1)
			b.wantStatus(b.run("list"), 0)
		}
	}
}

// The output fills the disk up while its reader sleeps, so there is no room for
// unread output. The command waits for the reader, and no output is lost.
func TestE2EFillsUpWithSleepingReader(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.mountLedger("2m")
	c, r := pausedCall(b, "run", "--key", "k", "--", "bash", "-c", "head -c 16777216 /dev/zero; echo x >>side")
	pauseBriefly()
	b.wantLines("side", 0)
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		t.Fatal(err)
	}
	b.wantStatus(c.wait(), 0)
	if n != 16777216 {
		t.Errorf("the caller got %d bytes, want 16777216", n)
	}
	b.wantLines("side", 1)
	b.wantState("k", "succeeded")
}

// Another process fills the disk up during the run, so the outcome cannot be
// recorded. idem reports that, and no later call runs the command again on its
// own.
func TestE2EFullAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 3} {
		b := newBox(t)
		dir := b.mountLedger("1m")
		run := []string{"run", "--key", "k", "--", "bash", "-c", countingScript + fmt.Sprintf("exit %d", code)}
		first := b.idem(run...)
		b.waitLines("side", 1)
		free := b.fillDisk(dir)
		b.write("go", "")
		r := b.wantStatus(first.wait(), 125)
		if r.out != "out\n" || !strings.Contains(r.err, fmt.Sprintf("status %d", code)) {
			t.Errorf("got %+v, want stdout %q and stderr with %q", r, "out\n", fmt.Sprintf("status %d", code))
		}
		b.wantStatus(b.run("list"), 0)
		b.wantStatus(b.run(run...), 79)
		free()
		b.wantStatus(b.run(run...), 79)
		b.wantState("k", "interrupted")
		b.wantStatus(b.run("mark", "done", "k", "--note", "seen"), 0)
		b.wantStatus(b.run(run...), 0)
		b.wantLines("side", 1)
		if s := b.listedState("k"); s != "succeeded" {
			t.Errorf("list: got state %q, want succeeded", s)
		}
	}
}

// The ledger's file system becomes read-only. Nothing runs, and recorded
// outcomes can be read and replayed.
func TestE2EReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	dir := b.mountLedger("2m")
	run := func(key string) result {
		return b.run("run", "--key", key, "--", "sh", "-c", "echo out; echo x >>side")
	}
	b.wantStatus(run("old"), 0)
	if err := mount("-o", "remount,ro", dir); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(run("new"), 69)
	b.wantLines("side", 1)
	if s := b.listedState("old"); s != "succeeded" {
		t.Errorf("list: got state %q, want succeeded", s)
	}
	b.wantState("old", "succeeded")
	if r := b.wantStatus(run("old"), 0); r.out != "out\n" {
		t.Errorf("got %+v, want stdout %q", r, "out\n")
	}
	b.wantStatus(b.run("mark", "retry", "old", "--force"), 69)
	b.wantStatus(b.run("forget", "old"), 69)
	b.wantLines("side", 1)
	b.setLedger(filepath.Join(dir, "nothing")) // a ledger that cannot be created
	b.wantStatus(run("new"), 69)
	b.wantStatus(b.run("list"), 0)
	b.wantLines("side", 1)
}

// A slow reader never costs an outcome. Output that waits for the reader leaves
// room on the ledger's disk for this key and for other keys.
func TestE2ESlowReaderLeavesRoom(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.mountLedger("20m")
	c, r := pausedCall(b, "run", "--key", "slow", "--max-output", "0", "--", "head", "-c", "33554432", "/dev/zero")
	pauseBriefly()
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
	b.wantState("other", "succeeded")
	if n, err := io.Copy(io.Discard, r); err != nil || n != 33554432 {
		t.Errorf("the caller got %d bytes and error %v, want 33554432", n, err)
	}
	b.wantStatus(c.wait(), 0)
	b.wantState("slow", "succeeded")
}
