//go:build linux && (amd64 || arm64)

package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// deadlySignals are signals that Go's runtime drops or answers with its stacks,
// and some that it does not.
var deadlySignals = []syscall.Signal{
	unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGALRM, unix.SIGPROF, unix.SIGXFSZ, unix.SIGPIPE, unix.SIGSEGV, unix.SIGSYS, 40, unix.SIGTERM,
}

// In every phase of a call, a signal for idem does what it would do to the
// command. `chaos signals` sends every signal at any time.
func TestE2ESignalsEndIdemInEveryPhase(t *testing.T) {
	t.Parallel()
	for name, phase := range map[string]struct {
		args   []string
		before func(b *box) // prepares the call
		reach  func(b *box) // waits for the phase
		state  string       // of the record afterwards; "" means no record
	}{
		"waiting": {
			[]string{"--wait", "--", "sh", "-c", countingScript},
			func(b *box) {
				b.idem("run", "--key", "k", "--", "sh", "-c", countingScript)
				b.waitLines("side", 1)
			},
			func(*box) {}, "running",
		},
		"before a retry": {
			[]string{"--retries", "3", "--retry-delay", "1h", "--", "sh", "-c", "exit 3"},
			nil,
			func(b *box) {
				b.waitUntil("the failure", func() bool { return strings.Contains(b.run("list").out, "\tfailed\t") })
			}, "failed",
		},
		"in a hook": {[]string{"--hook", "start=echo $$ >pid; exec sleep 300", "--", "true"}, nil, func(b *box) { b.waitPID("pid") }, ""},
		"in a verification": {
			[]string{"--verify", "echo $$ >pid; exec sleep 300", "--", "true"},
			func(b *box) { b.wantStatus(b.run("run", "--key", "k", "--", "true"), 0) },
			func(b *box) { b.waitPID("pid") }, "succeeded",
		},
		"in a probe": {[]string{"--probe-first", "--probe", "echo $$ >pid; exec sleep 300", "--", "true"}, nil, func(b *box) { b.waitPID("pid") }, ""},
	} {
		for _, sig := range deadlySignals {
			b := newBox(t)
			if phase.before != nil {
				phase.before(b)
			}
			c := b.idem(append([]string{"run", "--key", "k"}, phase.args...)...)
			phase.reach(b)
			c.kill(sig)
			if r := c.wait(); r.sig != sig {
				t.Errorf("%s: got %+v, want signal %v", name, r, sig)
			}
			if got := b.run("list").out; phase.state == "" && got != "" || !strings.Contains(got, phase.state) {
				t.Errorf("%s, %v: got the record %q, want state %q", name, sig, got, phase.state)
			}
		}
	}
}

// A signal ends a replay whose reader has stopped reading.
func TestE2ESignalsEndAReplayThatStalls(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	argv := []string{"run", "--key", "k", "--", "head", "-c", "8000000", "/dev/zero"}
	b.wantStatus(b.run(argv...), 0)
	for _, sig := range deadlySignals {
		var ends [2]int // blocking descriptors, as those of a shell
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(ends[0]), "r"), os.NewFile(uintptr(ends[1]), "w")
		c := b.start(append([]string{"idem"}, argv...), stdout(w))
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.kill(sig)
		if got := c.wait(); got.sig != sig {
			t.Errorf("%v: got %+v, want signal %v", sig, got, sig)
		}
		r.Close()
		w.Close()
	}
	b.wantState("k", "succeeded")
}

// A command, a hook, a probe and a directly executed command have the ignored
// and the blocked signals of the caller.
func TestE2ECallersSignalsAreTheCommands(t *testing.T) {
	t.Parallel()
	odd := []string{"env", "--ignore-signal=QUIT,USR2,PIPE,HUP", "--block-signal=USR1,TERM,ALRM"}
	if err := exec.Command(odd[0], append(odd[1:], "true")...).Run(); err != nil {
		skipMissing(t, "env of coreutils 9")
	}
	b := newBox(t)
	show := []string{"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"}
	want := b.wantStatus(b.start(append(odd, show...)).wait(), 0).out
	script := fmt.Sprintf("grep -E '%s' %s", show[2], show[3])
	for name, argv := range map[string][]string{
		"command":  append([]string{"idem", "run", "--key", "command", "--"}, show...),
		"terminal": append([]string{"idem", "run", "--key", "tty", "--tty", "--"}, show...),
		"own":      append([]string{"idem", "run", "--key", "own", "--timeout", "1h", "--"}, show...),
		"hook":     {"idem", "run", "--key", "hook", "--hook", "start=exec " + script, "--", "true"},
		"probe":    {"idem", "run", "--key", "probe", "--probe-first", "--probe", "exec " + script, "--", "false"},
		"disabled": append([]string{"env", "IDEM_DISABLE=1", "idem", "run", "--key", "none", "--"}, show...),
	} {
		r := b.wantStatus(b.start(append(odd, argv...)).wait(), 0)
		if got := strings.ReplaceAll(r.out+r.err, "\r", ""); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A hook after a replay does not ignore PIPE, although the reader of the replay
// went away.
func TestE2EHookAfterAReplayDoesNotIgnorePIPE(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "k", "--", "seq", "100000"), 0)
	b.wantStatus(b.sh(`idem run --key k --hook 'replay=grep SigIgn /proc/self/status >ignored' -- seq 100000 | head -1; exit ${PIPESTATUS[0]}`), 0)
	if got := b.read("ignored"); got != "SigIgn:\t0000000000000000\n" {
		t.Errorf("got %q, want %q", got, "SigIgn:\t0000000000000000\n")
	}
}

// The first process of a container can be ended in every phase.
func TestE2EFirstProcessOfAContainerCanBeEnded(t *testing.T) {
	t.Parallel()
	requireTool(t, "unshare")
	requireRoot(t)
	b := newBox(t)
	b.idem("run", "--key", "k", "--", "sh", "-c", countingScript)
	b.waitLines("side", 1)
	c := b.start([]string{"unshare", "--pid", "--fork", "idem", "run", "--key", "k", "--wait", "--", "sh", "-c", countingScript})
	var idem int
	b.waitUntil("idem", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.pid()))
		_, err := fmt.Sscan(string(children), &idem)
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", idem))
		ignored, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", idem))
		return err == nil && string(comm) == "idem\n" && strings.Contains(string(ignored), "SigCgt:\tffff")
	})
	if err := syscall.Kill(idem, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(c.wait(), 143)
}
