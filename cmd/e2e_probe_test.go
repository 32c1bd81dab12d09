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

// unsettled leaves a key as each of those that a probe is asked about, and
// returns the call that asks it, up to the probe.
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

// probing fills the probe in.
func withProbe(ask []string, probe string) []string {
	ask = append([]string{}, ask...)
	ask[5] = probe
	return ask
}

// stands checks that a key is as unsettled has left it.
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

// A kill -9 while the probe is asked leaves the key as it was, and what is left
// of the probe is in nobody's way.
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
			t.Error("the probe is dead")
		}
		b.wantUnsettled(state)
		if r := b.wantStatus(b.run(withProbe(ask, "echo whole")...), 0); r.out != "whole\n" {
			t.Errorf("got %+v, want stdout %q", r, "whole\n")
		}
		if procState(probe) == "" {
			t.Error("the probe is dead")
		}
		b.wantState("k", "succeeded")
		b.wantLines("side", map[string]int{"none": 0, "interrupted": 1}[state])
	}
}

// A signal that is meant for idem ends the probe and then idem; whatever the
// probe says by its end is nobody's answer.
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

// Ctrl-C at a terminal, while the probe has the foreground.
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
		t.Errorf("the shell sees %q; %q", s, x.shown())
	}
	b.wantUnsettled("interrupted")
}

// Many callers ask once and get one answer.
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

// What a probe prints is replayed byte for byte, also when it is large; its
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
				t.Errorf("call %d: %d bytes, want other %d", i, len(r.out), size)
			}
			if told := strings.Contains(r.err, "diag"); told != (i == 0) {
				t.Errorf("call %d: stderr is %q", i, r.err)
			}
		}
		b.wantLines("side", 0)
	}
}

// A full disk: what cannot be recorded with its output is not recorded.
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
		// What is known to be done is not run because there is no room to say so.
		b.wantStatus(b.run("run", "--key", "k", "--on-ledger-error", "run", "--probe-first", "--probe", "cat big", "--", "sh", "-c", "echo x >>side"), 69)
		b.wantUnsettled("none")
	}
	spools, err := os.ReadDir(filepath.Join(b.ledger, "output"))
	if err != nil || len(spools) > 0 {
		t.Errorf("left in output: %v, %v", spools, err)
	}
	// A little is no backlog: it needs no reserve.
	if r := b.wantStatus(b.run("run", "--key", "k", "--probe-first", "--probe", "cat little", "--", "sh", "-c", "echo x >>side"), 0); r.out != "little" {
		t.Errorf("got %+v, want stdout %q", r, "little")
	}
	b.wantStatus(b.run("mark", "done", "l", "--stdout-file", "little"), 0)
	b.wantLines("side", 0)
}

// A limit on the size of files, which leaves the database room: output that is
// cut short makes no success either.
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
		t.Errorf("replayed %d bytes", len(r.out))
	}
}

// A person who kills idem mark while it reads has marked nothing.
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
	if _, err := f.Write(bytes.Repeat([]byte("x"), 200<<10)); err != nil { // more than a pipe holds: some was read
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
