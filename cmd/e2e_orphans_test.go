package cmd_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon that an ended command leaves behind blocks neither idem nor the key,
// after a success and after a failure.
func TestE2EDaemon(t *testing.T) {
	t.Parallel()
	for code, again := range map[int]int{0: 1, 1: 2} {
		b := newBox(t)
		b.write("code", strings.Repeat("x\n", code))
		script := `echo x >>side; setsid sh -c 'echo $$ >>daemon; exec sleep 300' >/dev/null 2>&1 & until [ -e daemon ]; do sleep 0.02; done; exit $(wc -l <code)`
		b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", script), code)
		daemon := b.waitPID("daemon")
		b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", script), code)
		b.wantLines("side", again)
		if procState(daemon) == "" {
			t.Error("got a dead daemon, want a live one")
		}
	}
}

// A background process that holds the pipe does not hang idem. Its output after
// the end of the command is not recorded.
func TestE2ELateWriter(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	script := `echo early
		(trap 'echo pipe >>fate; exit' PIPE; until [ -e go ]; do sleep 0.02; done; echo late; echo $? >>fate) &
		exit 0`
	if r := b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", script), 0); r.out != "early\n" {
		t.Errorf("stdout: got %q, want %q", r.out, "early\n")
	}
	b.wantState("k", "succeeded")
	b.write("go", "")
	b.waitLines("fate", 1)
	if r := b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", script), 0); r.out != "early\n" {
		t.Errorf("replay: got %q, want %q", r.out, "early\n")
	}
}

// If idem is killed and its command lives on, the key stays busy. After the
// command ends, its outcome is unknown.
func TestE2EOrphanKeepsTheKey(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", countingScript}
	first := b.idem(run...)
	b.waitLines("side", 1)
	first.kill(syscall.SIGKILL)
	first.wait()
	if r := b.wantStatus(b.run(run...), 75); !strings.Contains(r.err, "still alive") {
		t.Errorf("stderr: got %s, want it with %q", r.err, "still alive")
	}
	b.wantStatus(b.run("forget", "k"), 75)
	b.wantStatus(b.run("mark", "retry", "k", "--note", "n"), 75)
	if s := b.listedState("k"); s != "running" {
		t.Errorf("list: got state %q while the orphan lives, want running", s)
	}
	b.wantState("k", "running")
	b.write("go", "")
	b.waitUntil("the orphan ends", func() bool { return b.listedState("k") == "interrupted" })
	b.wantState("k", "interrupted")
	b.wantStatus(b.run(run...), 79)
	b.wantLines("side", 1)
}

// A call that waits for an orphan, and may run after it, never runs at the same
// time.
func TestE2EWaitForOrphanThenRerun(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	first.kill(syscall.SIGKILL)
	first.wait()
	second := b.idem("run", "--key", "k", "--on-interrupted", "rerun", "--wait", "--", "bash", "-c", countingScript)
	time.Sleep(200 * time.Millisecond)
	b.wantLines("side", 1)
	b.write("go", "")
	b.wantStatus(second.wait(), 0)
	b.wantLines("side", 2)
	b.wantLines("overlap", 0)
	if rec := b.wantState("k", "succeeded"); rec.Attempt != 2 {
		t.Errorf("got %+v, want attempt %d", rec, 2)
	}
}

// idem and its command are killed together.
func TestE2EBothKilled(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", countingScript}
	first := b.idem(run...)
	b.waitLines("side", 1)
	first.killAll()
	b.waitUntil("the command is gone", func() bool { return b.listedState("k") != "running" })
	b.wantStatus(b.run(run...), 79)
	b.wantState("k", "interrupted")
	b.wantLines("side", 1)
}

// closing is a command whose work continues in a process that has closed all
// descriptors except its files, as Python's subprocess starts it.
const closing = `(for f in /proc/self/fd/*; do n=${f##*/}; [ $n -gt 2 ] && eval "exec $n>&-"; done
	echo x >>side; mkdir lock || echo x >>overlap; echo $BASHPID >pid; until [ -e go ]; do sleep 0.02; done; rmdir lock) >/dev/null 2>&1 & wait`

// After a kill of idem and of the command, a process without any descriptor of
// idem is found by its environment until it ends. No call can take the key.
func TestE2ECommandClosesDescriptors(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", closing}
	rerun := append([]string{"run", "--on-interrupted", "rerun"}, run[1:]...)
	first := b.idem(run...)
	b.waitLines("side", 1)
	pid := b.waitPID("pid")
	shell := parentOf(t, pid)
	for _, kill := range []int{first.pid(), shell} {
		if err := syscall.Kill(kill, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.waitExit(kill)
	}
	first.wait()
	for _, call := range [][]string{
		run, rerun,
		{"forget", "k"},
		{"mark", "done", "k"},
		{"mark", "retry", "k"},
		{"check", "k"},
		{"check", "--on-interrupted", "rerun", "k"},
		append([]string{"run", "--probe", "echo x >>asked"}, run[1:]...), append([]string{"run", "--wait=0.1"}, run[1:]...),
	} {
		r := b.wantStatus(b.run(call...), 75)
		if pids := fmt.Sprintf("still alive: %d (", pid); call[0] != "check" && !strings.Contains(r.err, pids) {
			t.Errorf("%q: got stderr %s, want it with %q", call, r.err, pids)
		}
	}
	b.wantLines("asked", 0)
	b.wantState("k", "running")
	if s := b.listedState("k"); s != "running" {
		t.Errorf("list: got state %q, want running", s)
	}

	second := b.idem(append([]string{"run", "--wait"}, rerun[1:]...)...)
	b.waitUntil("it waits", func() bool { return strings.Contains(b.read(second.err), "waiting for key") })
	b.wantLines("side", 1)
	b.write("go", "")
	b.wantStatus(second.wait(), 0)
	b.wantLines("side", 2)
	b.wantLines("overlap", 0)
}

// A process inside a nested attempt also belongs to the outer attempt, if no
// other process of the outer attempt is left.
func TestE2ENestedCommandClosesDescriptors(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("closing", closing)
	run := []string{"run", "--key", "outer", "--on-interrupted", "rerun", "--", "bash", "-c", "echo $$ >shell; idem run --key inner -- bash closing & echo $! >nested; wait"}
	first := b.idem(run...)
	b.waitLines("side", 1)
	pid, shell, nested := b.waitPID("pid"), b.waitPID("shell"), b.waitPID("nested")
	for _, kill := range []int{first.pid(), shell, nested, parentOf(t, pid)} {
		if err := syscall.Kill(kill, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.waitExit(kill)
	}
	first.wait()
	for _, key := range []string{"outer", "inner"} {
		if r := b.wantStatus(b.run("run", "--key", key, "--on-mismatch", "rerun", "--on-interrupted", "rerun", "--", "touch", "beside"), 75); !strings.Contains(r.err, fmt.Sprintf("still alive: %d (", pid)) {
			t.Errorf("key %s: got stderr %s, want it to name the process", key, r.err)
		}
	}
	b.waitLines("beside", 0)
	b.write("go", "")
	b.waitExit(pid)
	b.wantStatus(b.run("run", "--key", "outer", "--on-mismatch", "rerun", "--on-interrupted", "rerun", "--", "true"), 0)
}

// A call for the key by a process of the attempt is inside the attempt while
// another process of the attempt is alive. The call itself does not count, and
// neither do the processes that idem runs for itself.
func TestE2ECallsFromInsideALeftover(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	inner := `idem run --key k --wait -- true 2>inner.err; echo $? >inner.status`
	script := `(for f in /proc/self/fd/*; do n=${f##*/}; [ $n -gt 2 ] && eval "exec $n>&-"; done
		echo $BASHPID >pid; until [ -e go ]; do sleep 0.02; done; ` + inner + `
		exec idem run --key k --on-interrupted rerun --on-mismatch rerun -- touch again) >/dev/null 2>&1 & wait`
	first := b.idem("run", "--key", "k", "--hook", "start=setsid sh -c 'echo $$ >hook; exec sleep 600' >/dev/null 2>&1 & until test -s hook; do sleep 0.02; done", "--", "bash", "-c", script)
	pid := b.waitPID("pid")
	shell := parentOf(t, pid)
	for _, kill := range []int{first.pid(), shell} {
		if err := syscall.Kill(kill, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.waitExit(kill)
	}
	first.wait()
	b.write("go", "")
	b.waitLines("inner.status", 1)
	if s := b.read("inner.status"); s != "64\n" {
		t.Errorf("inside: got status %q, want 64: %s", s, b.read("inner.err"))
	}
	b.waitLines("again", 0)
	if procState(b.waitPID("hook")) == "" {
		t.Error("got a dead process of the hook, want a live one")
	}
	b.waitUntil("it ends", func() bool { return b.listedState("k") == "succeeded" })
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// mark retry lets an interrupted key run again. It is refused while the key
// runs and, without --force, after a success.
func TestE2EMarkRetry(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", countingScript + "echo $IDEM_TOKEN >>tokens"}
	retry := []string{"mark", "retry", "k", "--note", "looked at it"}
	first := b.idem(run...)
	b.waitLines("side", 1)
	b.wantStatus(b.run(retry...), 75)
	first.killAll()
	b.waitUntil("interrupted", func() bool { return b.listedState("k") == "interrupted" })
	b.write("go", "")
	b.wantStatus(b.run(retry...), 0)
	b.wantState("k", "retry")
	b.wantStatus(b.run(run...), 0)
	b.wantLines("side", 2)
	b.wantState("k", "succeeded")
	b.wantStatus(b.run(retry...), 64)
	b.wantStatus(b.run(append(retry, "--force")...), 0)
	b.wantStatus(b.run(run...), 0)
	b.wantLines("side", 3)
	tokens := strings.Fields(b.read("tokens"))
	if len(tokens) != 2 || tokens[0] != tokens[1] {
		t.Errorf("got tokens %q, want two equal ones", tokens)
	}
}

// Leftover processes of a command that a signal killed keep the key busy,
// although its end is recorded.
func TestE2ELeftoversOfAKilledCommandKeepTheKey(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	script := `echo x >>side; (echo $BASHPID >worker; until [ -e go ]; do sleep 0.02; done) & echo $$ >shell; wait`
	run := []string{"run", "--key", "k", "--", "bash", "-c", script}
	first := b.idem(run...)
	shell, worker := b.waitPID("shell"), b.waitPID("worker")
	if err := syscall.Kill(shell, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := first.wait(); r.sig != syscall.SIGKILL {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGKILL)
	}
	rec := b.show("k")
	if last := rec.Attempts[len(rec.Attempts)-1]; last.State != "failed" || last.Signal != "SIGKILL" {
		t.Errorf("got %+v, want a last attempt that failed by SIGKILL", rec)
	}
	b.wantStatus(b.run(run...), 75)
	b.wantLines("side", 1)
	b.write("go", "")
	b.waitExit(worker)
	b.wantStatus(b.run(append(run[:3:3], append([]string{"--wait"}, run[3:]...)...)...), 0)
	b.wantLines("side", 2)
}

// A script that uses high descriptors, such as 3 or the 200 of the flock idiom,
// does not lose the lock.
func TestE2ECommandThatUsesManyDescriptorsKeepsTheKey(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", "for n in {3..276}; do eval \"exec $n>/dev/null\"; done\n" + countingScript}
	first := b.idem(run...)
	b.waitLines("side", 1)
	first.kill(syscall.SIGKILL)
	first.wait()
	b.wantStatus(b.run(run...), 75)
	b.write("go", "")
	b.waitUntil("the orphan ends", func() bool { return b.listedState("k") == "interrupted" })
	b.wantLines("side", 1)
}

// A stopped idem keeps its key.
func TestE2EIdemStopped(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", countingScript}
	first := b.idem(run...)
	b.waitLines("side", 1)
	first.kill(syscall.SIGSTOP)
	b.waitUntil("idem stops", func() bool { return procState(first.pid()) == "T" })
	b.wantStatus(b.run(run...), 75)
	b.write("go", "") // the command ends while idem cannot record it
	b.wantStatus(b.run(run...), 75)
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
	first.kill(syscall.SIGCONT)
	b.wantStatus(first.wait(), 0)
	b.wantState("k", "succeeded")
	b.wantLines("side", 1)
}

// A stopped command counts as running.
func TestE2ECommandStopped(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	run := []string{"run", "--key", "k", "--", "bash", "-c", "echo $$ >pid\n" + countingScript}
	first := b.idem(run...)
	b.waitLines("side", 1)
	pid := b.waitPID("pid")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.waitUntil("the command stops", func() bool { return procState(pid) == "T" })
	b.wantStatus(b.run(run...), 75)
	if s := b.listedState("k"); s != "running" {
		t.Errorf("list: got state %q, want running", s)
	}
	b.write("go", "")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(first.wait(), 0)
}
