package cmd_test

import (
	"strings"
	"syscall"
	"testing"
)

// linesOnDemand is a command that writes a line to each stream for each line in
// go. It ends after the third line.
const steps = `
echo x >>side
for i in 1 2 3; do
	until [ "$(cat go 2>/dev/null | wc -l)" -ge $i ]; do sleep 0.05; done
	echo out $i; echo err $i >&2
done`

// logs -f follows the run of another process to its end, and prints output as
// soon as it is written.
func TestE2ELogsFollows(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", steps)
	b.waitLines("side", 1)
	follow := b.idem("logs", "-f", "k")
	b.write("go", "1\n")
	b.waitLines(follow.out, 1)
	if !first.running() {
		t.Error("got an ended run, want one that logs -f can follow")
	}
	b.write("go", "1\n2\n")
	b.waitLines(follow.out, 2)
	late := b.idem("logs", "-f", "--stderr", "k")
	b.waitLines(late.err, 2)
	b.write("go", "1\n2\n3\n")
	b.wantStatus(first.wait(), 0)
	if r := b.wantStatus(follow.wait(), 0); r.out != "out 1\nout 2\nout 3\n" || r.err != "err 1\nerr 2\nerr 3\n" {
		t.Errorf("got %+v, want stdout %q and stderr %q", r, "out 1\nout 2\nout 3\n", "err 1\nerr 2\nerr 3\n")
	}
	if r := b.wantStatus(late.wait(), 0); r.out != "" || r.err != "err 1\nerr 2\nerr 3\n" {
		t.Errorf("got %+v, want no stdout and stderr %q", r, "err 1\nerr 2\nerr 3\n")
	}
	b.wantLines("side", 1)
}

// logs -f follows a short run that shows nothing while it runs, a large one,
// and one that is killed.
func TestE2ELogsFollowsToAnyEnd(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "short", "--", "bash", "-c", `echo x >>side; until [ -e go ]; do sleep 0.02; done; echo out`)
	b.waitLines("side", 1)
	follow := b.idem("logs", "-f", "short")
	b.write("go", "")
	b.wantStatus(first.wait(), 0)
	if r := b.wantStatus(follow.wait(), 0); r.out != "out\n" {
		t.Errorf("got %+v, want stdout %q", r, "out\n")
	}

	first = b.idem("run", "--key", "large", "--", "bash", "-c", `echo x >>side; for i in 1 2 3 4 5; do seq 1 100000; sleep 0.1; done`)
	b.waitLines("side", 2)
	r := b.wantStatus(b.run("logs", "-f", "large"), 0)
	if all := b.wantStatus(first.wait(), 0); r.out != all.out || strings.Count(r.out, "\n") != 500000 {
		t.Errorf("logs -f: got %d bytes, want %d", len(r.out), len(all.out))
	}

	first = b.idem("run", "--key", "killed", "--", "bash", "-c", `echo out; echo x >>side; exec sleep 300`)
	b.waitLines("side", 3)
	follow = b.idem("logs", "-f", "killed")
	b.waitLines(follow.out, 1) // in the file, so it survives the kill
	first.killAll()
	if r := b.wantStatus(follow.wait(), 0); r.out != "out\n" {
		t.Errorf("got %+v, want stdout %q", r, "out\n")
	}
	b.wantState("killed", "interrupted")
	if r := b.wantStatus(b.run("logs", "killed"), 0); r.out != "out\n" {
		t.Errorf("got %+v, want stdout %q", r, "out\n")
	}
}

// list and show distinguish running from interrupted by the processes that
// live, not by the record.
func TestE2ERunningOrInterrupted(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	live := b.idem("run", "--key", "live", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	dead := b.idem("run", "--key", "dead", "--", "sh", "-c", "echo x >>side; exec sleep 300")
	b.waitLines("side", 2)
	for _, key := range []string{"live", "dead"} {
		b.wantState(key, "running")
	}
	dead.killAll()
	b.waitUntil("dead is interrupted", func() bool { return b.listedState("dead") == "interrupted" })
	b.wantState("dead", "interrupted")
	b.wantState("live", "running")
	for state, key := range map[string]string{"running": "live", "interrupted": "dead"} {
		if r := b.wantStatus(b.run("list", "--state", state), 0); !strings.HasPrefix(r.out, key+"\t") || strings.Count(r.out, "\n") != 1 {
			t.Errorf("--state %s: got %q, want only key %s", state, r.out, key)
		}
	}
	live.kill(syscall.SIGTERM)
	live.wait()
	b.wantState("live", "failed")
}
