package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// leaveUnsettled leaves a key in one of the states in which idem asks the
// probe. It returns the arguments of the call up to the probe.
func leaveUnsettled(b *box, state string) []string {
	b.t.Helper()
	run := []string{"run", "--key", "k", "--", "bash", "-c", "echo x >>side; until [ -e go ]; do sleep 0.02; done"}
	ask := append([]string{"run", "--key", "k", "--probe-first", "--probe", ""}, run[3:]...)
	if state == "none" {
		return ask
	}
	c := b.idem(run...)
	b.waitLines("side", 1)
	c.killAll()
	b.wantStatus(b.run("wait", "k"), 79)
	b.wantState("k", state)
	return ask
}

// withProbe adds the probe to the arguments.
func withProbe(ask []string, probe string) []string {
	ask = append([]string{}, ask...)
	ask[5] = probe
	return ask
}

// wantUnsettled checks that the key is as leaveUnsettled left it.
func (b *box) wantUnsettled(state string) {
	b.t.Helper()
	if state == "none" {
		b.wantStatus(b.run("show", "k"), 1)
		b.wantLines("side", 0)
		return
	}
	b.wantState("k", state)
	b.wantLines("side", 1)
}

var unsettledStates = []string{"none", "interrupted"}

// A kill -9 during the probe leaves the key as it was. A leftover process of
// the probe blocks no call.
func TestE2EProbeKilled(t *testing.T) {
	t.Parallel()
	for _, state := range unsettledStates {
		b := newBox(t)
		ask := leaveUnsettled(b, state)
		first := b.idem(withProbe(ask, `echo $$ >pid; echo half; exec sleep 300`)...)
		probe := b.waitPID("pid")
		b.wantStatus(b.run(withProbe(ask, "exit 0")...), 75)
		first.kill(syscall.SIGKILL)
		first.wait()
		if procState(probe) == "" {
			t.Error("got a dead probe, want a live one")
		}
		b.wantUnsettled(state)
		if r := b.wantStatus(b.run(withProbe(ask, "echo whole")...), 0); r.out != "whole\n" {
			t.Errorf("got %+v, want stdout %q", r, "whole\n")
		}
		if procState(probe) == "" {
			t.Error("got a dead probe, want a live one")
		}
		b.wantState("k", "succeeded")
		b.wantLines("side", map[string]int{"none": 0, "interrupted": 1}[state])
	}
}

// A signal for idem ends the probe and then idem. The exit status of that probe
// is not an answer.
func TestE2EProbeSignalled(t *testing.T) {
	t.Parallel()
	for _, state := range unsettledStates {
		for sig, probe := range map[syscall.Signal]string{
			syscall.SIGTERM: `echo $$ >pid; exec sleep 300`,
			syscall.SIGINT:  `trap 'exit 0' INT; echo $$ >pid; while :; do sleep 0.02; done`,
			syscall.SIGHUP:  `trap 'exit 1' HUP; echo $$ >pid; while :; do sleep 0.02; done`,
		} {
			b := newBox(t)
			ask := leaveUnsettled(b, state)
			c := b.idem(withProbe(ask, probe)...)
			pid := b.waitPID("pid")
			c.kill(sig)
			r := c.wait()
			if r.sig != sig || r.out != "" {
				t.Errorf("%v: got %+v, want signal %v and no stdout", sig, r, sig)
			}
			b.waitExit(pid)
			b.wantUnsettled(state)
			b.wantStatus(b.run(withProbe(ask, "exit 0")...), 0)
		}
	}
}

// Ctrl-C on a terminal arrives while the probe has the foreground.
func TestE2EProbeCtrlC(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	leaveUnsettled(b, "interrupted")
	x := b.shell()
	x.typeKeys(`idem run --key k --probe 'echo $$ >pid; exec sleep 300' -- bash -c 'echo x >>side; until [ -e go ]; do sleep 0.02; done'` + "\n")
	pid := b.waitPID("pid")
	x.typeKeys(ctrlC)
	b.waitExit(pid)
	b.wantStatus(b.run("wait", "k"), 79) // the claim is free
	x.typeKeys("echo $? >status\n")
	b.waitLines("status", 1)
	if s := b.read("status"); s != "130\n" {
		t.Errorf("the shell got status %q, want 130; the terminal shows %q", s, x.shown())
	}
	b.wantUnsettled("interrupted")
}

// Many callers ask the probe once and get one answer.
func TestE2EProbeAskedOnce(t *testing.T) {
	t.Parallel()
	for _, state := range unsettledStates {
		b := newBox(t)
		ask := leaveUnsettled(b, state)
		ask = append([]string{"run", "--wait"}, withProbe(ask, `echo x >>asked; sleep 0.2; echo answer`)[1:]...)
		for _, r := range b.runAll(20, func(int) []string { return ask }) {
			if b.wantStatus(r, 0); r.out != "answer\n" {
				t.Errorf("got %+v, want stdout %q", r, "answer\n")
			}
		}
		b.wantLines("asked", 1)
		b.wantLines("side", map[string]int{"none": 0, "interrupted": 1}[state])
	}
}

// The output of a probe is replayed byte for byte, also if it is large. Its
// stderr is passed on and not recorded.
func TestE2EProbeOutput(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1 << 20} {
		b := newBox(t)
		ask := leaveUnsettled(b, "none")
		if err := exec.Command("dd", "if=/dev/urandom", "of="+b.path("data"), fmt.Sprintf("bs=%d", max(size, 1)), fmt.Sprintf("count=%d", min(size, 1))).Run(); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			r := b.wantStatus(b.run(withProbe(ask, "cat data; echo diag >&2")...), 0)
			if r.out != b.read("data") {
				t.Errorf("call %d: got %d bytes, want %d and the same ones", i, len(r.out), size)
			}
			if told := strings.Contains(r.err, "diag"); told != (i == 0) {
				t.Errorf("call %d: stderr: got %q, want diag in the first call only", i, r.err)
			}
		}
		b.wantLines("side", 0)
	}
}

// On a full disk, an outcome is not recorded without its output.
func TestE2ESettleOnAFullDisk(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.mountLedger("2m")
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0)
	b.write("big", strings.Repeat("0123456789abcdef", 1<<18))
	b.write("little", "little")
	for range 3 {
		if r := b.wantStatus(b.run("mark", "done", "k", "--stdout-file", "big"), 69); !strings.Contains(r.err, "no space") {
			t.Errorf("stderr: got %s, want it with %q", r.err, "no space")
		}
		b.wantUnsettled("none")
		// A command that is known to be done does not run because the disk has no
		// room for its record.
		b.wantStatus(b.run("run", "--key", "k", "--on-ledger-error", "run", "--probe-first", "--probe", "cat big", "--", "sh", "-c", "echo x >>side"), 69)
		b.wantUnsettled("none")
	}
	spools, err := os.ReadDir(filepath.Join(b.ledger, "output"))
	if err != nil || len(spools) > 0 {
		t.Errorf("output: got %v and error %v, want no files", spools, err)
	}
	// A small output is not a backlog, so it needs no reserve of disk space.
	if r := b.wantStatus(b.run("run", "--key", "k", "--probe-first", "--probe", "cat little", "--", "sh", "-c", "echo x >>side"), 0); r.out != "little" {
		t.Errorf("got %+v, want stdout %q", r, "little")
	}
	b.wantStatus(b.run("mark", "done", "l", "--stdout-file", "little"), 0)
	b.wantLines("side", 0)
}

// A limit on the size of files leaves room for the database. Output that is cut
// by the limit does not make a success either.
func TestE2ESettleWithinAFileLimit(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("big", strings.Repeat("0123456789abcdef", 1<<18))
	for _, call := range []string{
		"idem mark done k --stdout-file big",
		"idem run --key k --probe-first --probe 'cat big' -- sh -c 'echo x >>side'",
	} {
		if r := b.wantStatus(b.sh("ulimit -f 1000; "+call), 69); !strings.Contains(r.err, "idem: ") {
			t.Errorf("stderr: got %s, want it with %q", r.err, "idem: ")
		}
		b.wantUnsettled("none")
	}
	b.wantStatus(b.run("mark", "done", "k", "--stdout-file", "big"), 0)
	if r := b.wantStatus(b.run("run", "--key", "k", "--", "true"), 0); r.out != b.read("big") {
		t.Errorf("replay: got %d bytes, want those of big", len(r.out))
	}
}

// idem mark that is killed while it reads has marked nothing.
func TestE2EMarkKilledWhileReading(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if err := syscall.Mkfifo(b.path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := b.idem("mark", "done", "k", "--stdout-file", "fifo")
	f, err := os.OpenFile(b.path("fifo"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("x"), 200<<10)); err != nil { // more than a pipe holds, so idem has read some of it
		t.Fatal(err)
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "true"), 75)
	c.kill(syscall.SIGKILL)
	c.wait()
	f.Close()
	b.wantUnsettled("none")
	b.wantStatus(b.run("mark", "done", "k"), 0)
	b.wantState("k", "succeeded")
}
