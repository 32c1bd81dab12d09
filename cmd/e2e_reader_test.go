package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A reader that leaves ends neither the command nor its record.
func TestE2EHeadLeaves(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	r := b.wantStatus(b.sh(`idem run --key k -- bash -c 'seq 1 1000000; echo x >>side' | head -1; exit ${PIPESTATUS[0]}`), 0)
	if r.out != "1\n" {
		t.Errorf("stdout: got %q, want %q", r.out, "1\n")
	}
	b.wantLines("side", 1)
	b.wantState("k", "succeeded")
	r = b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", "seq 1 1000000; echo x >>side"), 0)
	if n := strings.Count(r.out, "\n"); n != 1000000 || !strings.HasSuffix(r.out, "\n1000000\n") {
		t.Errorf("replay: got %d lines, want all 1000000", n)
	}
	b.wantLines("side", 1)
}

// Output is recorded even if it cannot be written anywhere.
func TestE2ENoReader(t *testing.T) {
	t.Parallel()
	command := ` -- bash -c 'for i in $(seq 1 2000); do echo out $i; echo err $i >&2; done; echo x >>side; exit 4'`
	for name, redirect := range map[string]string{
		"closed stdout": ">&-", "closed stderr": "2>&-", "closed both": ">&- 2>&-", "all closed": "<&- >&- 2>&-",
		"full": ">/dev/full", "both full": ">/dev/full 2>&1", "read only": "1<side 2<side",
	} {
		b := newBox(t)
		b.write("side", "")
		b.wantStatus(b.sh("idem run --key k --on-failure replay"+command+" "+redirect), 4)
		b.wantLines("side", 1)
		b.wantState("k", "failed")
		r := b.wantStatus(b.sh("idem run --key k --on-failure replay"+command), 4)
		if n, m := strings.Count(r.out, "\n"), strings.Count(r.err, "\n"); n != 2000 || m != 2000 {
			t.Errorf("%s: replay: got %d and %d lines, want 2000 each", name, n, m)
		}
		// A replay that cannot write its output still ends with the recorded
		// status.
		b.wantStatus(b.sh("idem run --key k --on-failure replay"+command+" "+redirect), 4)
		b.wantLines("side", 1)
	}
}

// pausedCall starts idem with a pipe as stdout and returns the unread end.
func pausedCall(b *box, args ...string) (*call, *os.File) {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { r.Close() })
	c := b.start(append([]string{"idem"}, args...), stdout(w))
	w.Close()
	return c, r
}

// A sleeping reader delays neither the command, nor the record, nor calls that
// wait for the key. It gets every byte when it wakes up.
func TestE2EPausedReaderHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
	args := []string{"run", "--key", "k", "--", "bash", "-c", "seq 1 1000000; echo x >>side"}
	c, r := pausedCall(b, args...)
	b.waitUntil("the key is c's", func() bool { return b.listedState("k") != "" })
	waiter := b.idem(append(args[:3:3], append([]string{"--wait"}, args[3:]...)...)...)
	b.waitUntil("the key is done", func() bool { return b.listedState("k") == "succeeded" })
	b.wantStatus(waiter.wait(), 0)
	replay := b.wantStatus(b.run(args...), 0)
	if !c.running() {
		t.Error("got an ended call, want it to wait for its reader")
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	b.wantStatus(c.wait(), 0)
	if string(got) != replay.out || !strings.HasSuffix(replay.out, "\n1000000\n") || len(replay.out) != 6888896 {
		t.Errorf("got %d bytes live and %d in the replay, want the same 6888896", len(got), len(replay.out))
	}
	b.wantLines("side", 1)
}

// A sleeping reader delays neither the retries nor later calls for the key. It
// gets the output of all attempts in order.
func TestE2EPausedReaderAndRetries(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
	c, r := pausedCall(b, "run", "--key", "k", "--retries", "2", "--retry-delay", "1ms", "--hook", "start=echo x >>started",
		"--", "bash", "-c", "echo $IDEM_ATTEMPT; seq 1 200000; echo x >>side; exit 3")
	b.waitLines("side", 3)
	b.waitUntil("the key is done", func() bool { return b.listedState("k") == "failed" })
	b.wantStatus(b.run("run", "--key", "k", "--on-mismatch", "rerun", "--", "true"), 0)
	if !c.running() {
		t.Error("got an ended call, want it to wait for its reader")
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	b.wantStatus(c.wait(), 3)
	b.wantLines("started", 3)
	seq := b.sh("seq 1 200000").out
	if want := "1\n" + seq + "2\n" + seq + "3\n" + seq; string(got) != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

// A signal ends an idem that waits for its reader, and the record stays.
func TestE2ESignalEndsIdemThatAPausedReaderHolds(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	args := []string{"run", "--key", "k", "--", "bash", "-c", "seq 1 1000000; echo x >>side"}
	c, _ := pausedCall(b, args...)
	b.waitUntil("the key is done", func() bool { return b.listedState("k") == "succeeded" })
	c.kill(15)
	if r := c.wait(); r.sig != 15 {
		t.Errorf("got %+v, want signal %v", r, 15)
	}
	b.wantState("k", "succeeded")
	b.wantStatus(b.run(args...), 0)
	b.wantLines("side", 1)
}

// peakMemory polls the largest memory use of a call's process until it ends.
// The rusage of wait4 would also count the memory of the test before exec.
func peakMemory(c *call) (kib int) {
	for c.running() {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid()))
		if _, line, ok := bytes.Cut(status, []byte("VmHWM:")); ok && bytes.HasPrefix(status, []byte("Name:\tidem\n")) {
			n, _ := strconv.Atoi(strings.Fields(string(line))[0])
			kib = max(kib, n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return kib
}

const mostMemory = 64 << 10 // KiB

// Memory is bounded for any output: 2 GiB that are read, 2 GiB that are stored
// only in part, their replay, and a sleeping reader.
func TestE2EMemoryIsBounded(t *testing.T) {
	b := newBox(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	check := func(what string, code int, start func() *call) {
		t.Helper()
		kib := 0
		for try := 0; kib == 0 && try < 20; try++ { // the call may end before the first poll
			c := start()
			kib = peakMemory(c)
			b.wantStatus(c.wait(), code)
		}
		t.Logf("%s: %d KiB", what, kib)
		if kib == 0 || kib > mostMemory {
			t.Errorf("%s: got %d KiB of memory, want 1 to %d", what, kib, mostMemory)
		}
	}
	big := []string{"idem", "run", "--key", "big", "--", "head", "-c", "2G", "/dev/zero"}
	again := func() *call { return b.start(big, stdout(null)) }
	check("2 GiB", 0, again)
	rec := b.wantState("big", "succeeded")
	if !rec.Truncated {
		t.Errorf("got %+v, want a truncated record", rec)
	}
	if info, err := os.ReadDir(b.path("ledger/output")); err != nil || len(info) != 1 {
		t.Errorf("output: got %v and error %v, want one file", info, err)
	} else if f, err := info[0].Info(); err != nil || f.Size() > 70<<20 {
		t.Errorf("%v: got %d bytes, want at most %d", f.Name(), f.Size(), 70<<20)
	}
	check("its replay", 74, again)
	check("1 GiB with --json", 0, func() *call {
		return b.start([]string{"idem", "run", "--json", "--force", "--key", "json", "--", "head", "-c", "1G", "/dev/zero"}, stdout(null))
	})

	c, r := pausedCall(b, "run", "--key", "paused", "--max-output", "1MiB", "--", "head", "-c", "256M", "/dev/zero")
	b.waitUntil("the key is done", func() bool { return b.listedState("paused") == "succeeded" })
	go func() { _, _ = io.Copy(io.Discard, r) }()
	check("256 MiB for a sleeping reader", 0, func() *call { return c })
}

// A background process hangs idem neither if it goes on writing nor if it is
// silent. The output of the ended run is complete.
func TestE2EBackgroundWriterDoesNotHoldIdem(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	script := `echo begin; (trap '' PIPE; echo $BASHPID >pid; while :; do echo more; echo more >&2; sleep 0.01; done) 2>&1 & sleep 0.2; echo end; exit 6`
	r := b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", script), 6)
	if !strings.HasPrefix(r.out, "begin\n") || !strings.Contains(r.out, "\nend\n") {
		t.Errorf("got %q, want it to begin with %q and to contain %q", r.out, "begin\n", "\nend\n")
	}
	if logs := b.run("logs", "k"); logs.out != r.out {
		t.Errorf("logs: got %q, want the live output %q", logs.out, r.out)
	}
}
