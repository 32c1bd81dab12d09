package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This test binary is also a command that writes a line to the file signals for
// each signal. It exits with status 5 when the file go appears. A shell would
// merge two signals that arrive at almost the same time.
func init() {
	if os.Getenv("IDEM_E2E_COUNT") == "" {
		return
	}
	ch := make(chan os.Signal, 100)
	signal.Notify(ch, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	f, err := os.Create("signals")
	if err == nil {
		err = os.WriteFile("pid", fmt.Appendln(nil, os.Getpid()), 0o600)
	}
	if err != nil {
		panic(err)
	}
	for {
		select {
		case s := <-ch:
			fmt.Fprintln(f, s)
		case <-time.After(20 * time.Millisecond):
			if _, err := os.Stat("go"); err == nil {
				os.Exit(5)
			}
		}
	}
}

// signalCounter returns the command line of that command.
func signalCounter() []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{"env", "IDEM_E2E_COUNT=1", self}
}

// pauseBriefly gives an unexpected signal time to arrive.
func pauseBriefly() { time.Sleep(300 * time.Millisecond) }

// A signal for idem alone reaches the command once, and the command decides its
// effect.
func TestE2ESignalsArePassedOnOnce(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
	} {
		b := newBox(t)
		c := b.idem(append([]string{"run", "--key", "k", "--"}, signalCounter()...)...)
		b.waitPID("pid")
		c.kill(sig)
		b.waitLines("signals", 1)
		pauseBriefly()
		b.write("go", "")
		b.wantStatus(c.wait(), 5)
		b.wantLines("signals", 1)
		if rec := b.wantState("k", "failed"); rec.Reason != "exit" || *rec.ExitCode != 5 {
			t.Errorf("%v: got %+v, want reason %q and status %d", sig, rec, "exit", 5)
		}
	}
}

// A command that dies of a signal is recorded, and idem dies of the same
// signal.
func TestE2EIdemDiesAsTheCommand(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{
		"SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP, "SIGUSR1": syscall.SIGUSR1,
	} {
		b := newBox(t)
		c := b.idem("run", "--key", "k", "--", "sh", "-c", "echo $$ >pid; exec sleep 300")
		pid := b.waitPID("pid")
		b.waitUntil("exec", func() bool {
			comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
			return string(comm) == "sleep\n"
		})
		c.kill(sig)
		if r := c.wait(); r.sig != sig {
			t.Errorf("%s: got %+v, want the same signal", name, r)
		}
		if rec := b.wantState("k", "failed"); rec.Signal != name || rec.Reason != "signal" {
			t.Errorf("%s: got %+v, want signal %q and reason %q", name, rec, name, "signal")
		}
		b.waitExit(pid)
	}
}

// timeout(1) ends idem and its command.
func TestE2ETimeout(t *testing.T) {
	t.Parallel()
	requireTool(t, "timeout")
	b := newBox(t)
	r := b.start([]string{"timeout", "1", "idem", "run", "--key", "k", "--", "sh", "-c", "echo $$ >pid; exec sleep 300"}).wait()
	b.wantStatus(r, 124)
	if rec := b.wantState("k", "failed"); rec.Signal != "SIGTERM" {
		t.Errorf("got %+v, want signal %q", rec, "SIGTERM")
	}
	if b.lines("pid") > 0 { // otherwise TERM was faster than the command
		b.waitExit(b.waitPID("pid"))
	}
}

// A signal that nohup ignores stays ignored, for idem and for the command.
func TestE2ENohup(t *testing.T) {
	t.Parallel()
	requireTool(t, "nohup")
	b := newBox(t)
	c := b.start([]string{"nohup", "idem", "run", "--key", "k", "--", "bash", "-c", "grep SigIgn /proc/$$/status >ignored\n" + countingScript})
	b.waitLines("side", 1)
	if err := syscall.Kill(-c.pid(), syscall.SIGHUP); err != nil { // idem and the command
		t.Fatal(err)
	}
	pauseBriefly()
	if !c.running() {
		t.Fatalf("got %+v after HUP, want a running call", c.wait())
	}
	b.write("go", "")
	b.wantStatus(c.wait(), 0)
	mask, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(b.read("ignored"), "SigIgn:")), 16, 64)
	if err != nil || mask&1 == 0 {
		t.Errorf("the command's ignored signals: got %s, want HUP in them", b.read("ignored"))
	}
	b.wantState("k", "succeeded")
}

// A background job of a shell without job control ignores INT.
func TestE2EBackgroundJobIgnoresINT(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.start([]string{"bash", "-c", `idem run --key k -- bash -c "$0" & echo $! >idem; wait $!; echo $? >status`, countingScript})
	b.waitLines("side", 1)
	if err := syscall.Kill(b.waitPID("idem"), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	pauseBriefly()
	b.write("go", "")
	c.wait()
	if s := b.read("status"); s != "0\n" {
		t.Errorf("got status %q, want 0", s)
	}
}

// The caller ignores SIGCHLD and blocks signals.
func TestE2ECallerIgnoresAndBlocks(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if err := exec.Command("env", "--ignore-signal=CHLD", "--block-signal=ALRM", "true").Run(); err != nil {
		skipMissing(t, "env of coreutils 9")
	}
	odd := []string{"env", "--ignore-signal=CHLD", "--block-signal=ALRM,TERM", "idem", "run", "--key"}
	b.wantStatus(b.start(append(odd, "exit", "--", "sh", "-c", "exit 7")).wait(), 7)
	if r := b.start(append(odd, "signal", "--", "sh", "-c", "kill -KILL $$")).wait(); r.sig != syscall.SIGKILL {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGKILL)
	}
	b.wantStatus(b.start(append(odd, "ok", "--", "sh", "-c", "echo x >>side")).wait(), 0)
	b.wantStatus(b.start(append(odd, "ok", "--", "sh", "-c", "echo x >>side")).wait(), 0)
	b.wantLines("side", 1)
	// TERM is blocked in the command as well, so it stays pending there.
	c := b.start(append(odd, "term", "--", "sh", "-c", "echo $$ >pid; exec sleep 300"))
	pid := b.waitPID("pid")
	c.kill(syscall.SIGTERM)
	b.waitUntil("TERM in the command", func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return strings.Contains(string(status), "ShdPnd:\t0000000000004000")
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if r := c.wait(); r.sig != syscall.SIGKILL {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGKILL)
	}
}

// idem runs as process 1 of a PID namespace, and below it.
func TestE2EPIDNamespace(t *testing.T) {
	t.Parallel()
	requireTool(t, "unshare")
	requireRoot(t)
	b := newBox(t)
	first := []string{"unshare", "--pid", "--fork", "idem", "run", "--key"}
	below := func(args string) []string {
		return []string{"unshare", "--pid", "--fork", "sh", "-c", "idem run --key " + args + "; s=$?; exit $s"}
	}
	b.wantStatus(b.start(append(first, "a", "--", "sh", "-c", "exit 7")).wait(), 7)
	b.wantStatus(b.start(below("b -- sh -c 'exit 7'")).wait(), 7)
	// No process inside the namespace can kill process 1.
	b.wantStatus(b.start(append(first, "c", "--", "sh", "-c", "kill -TERM $$")).wait(), 143)
	b.wantStatus(b.start(below("d -- sh -c 'kill -TERM $$'")).wait(), 143)
	for _, key := range []string{"c", "d"} {
		if rec := b.wantState(key, "failed"); rec.Signal != "SIGTERM" {
			t.Errorf("%s: got %+v, want signal %q", key, rec, "SIGTERM")
		}
	}
	for range 2 {
		b.wantStatus(b.start(append(first, "e", "--", "sh", "-c", "echo x >>side")).wait(), 0)
	}
	b.wantLines("side", 1)
}
