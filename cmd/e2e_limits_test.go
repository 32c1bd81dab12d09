//go:build linux

package cmd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// wantClearEnd checks that a call under a limit has worked, or has printed one
// line that says that nothing was started.
func (b *box) wantClearEnd(what string, r result) {
	b.t.Helper()
	lines := 0
	for line := range strings.Lines(r.err) {
		if kind := messageKind(line); kind != "hint" && kind != "detail" {
			lines++
		}
	}
	switch r.code {
	case 0:
		if lines != 0 && !strings.HasPrefix(r.err, "idem: note: ") {
			b.t.Errorf("%s: got a success with stderr\n%swant none", what, r.err)
		}
	case 69, 126:
		if lines != 1 || !strings.HasPrefix(r.err, "idem: ") {
			b.t.Errorf("%s: got status %d and %d lines of stderr, want one message:\n%s", what, r.code, lines, r.err)
		}
	default:
		b.t.Errorf("%s: got status %d, want success or a refusal:\n%s", what, r.code, r.err)
	}
}

// wantRecordOf checks that the record of a key agrees with the result of its
// call. The command, which adds a line to side, ran once or not at all.
func (b *box) wantRecordOf(what, key string, r result) {
	b.t.Helper()
	state, ran := "", 0
	if r.code == 0 {
		state, ran = "succeeded", 1
	}
	if got := b.listedState(key); got != state {
		b.t.Errorf("%s: status %d: got the state %q, want %q:\n%s", what, r.code, got, state, r.err)
	}
	n := b.lines("side")
	_ = os.Remove(b.path("side"))
	if n != ran {
		b.t.Errorf("%s: status %d: got %d executions, want %d", what, r.code, n, ran)
	}
}

// boxWithLiveRun returns a box whose ledger has a record of the key hit and a
// live run of the key live.
func boxWithLiveRun(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "hit", "--", "echo", "out"), 0)
	b.write("known", "content")
	b.idem("run", "--key", "live", "--", "sh", "-c", "echo >ready; exec sleep 300")
	b.waitLines("ready", 1)
	return b
}

// operations are the calls that run under limits, by name. %s is the key.
var operations = []struct{ name, call string }{
	{"run", "run --key %s -- sh -c 'echo >>side'"},
	{"tty", "run --tty --key %s -- sh -c 'echo >>side'"},
	{"hook", "run --hook start=true --key %s -- sh -c 'echo >>side'"},
	{"retries", "run --retries 1 --timeout 60 --key %s -- sh -c 'echo >>side'"},
	{"mutex", "run --mutex m --mutex n:3 --key %s -- sh -c 'echo >>side'"},
	{"json", "run --json --key %s -- sh -c 'while [ ${#x} -lt 99999 ]; do x=${x}0123456789$x; done; echo $x; echo >>side'"},
	{"meta", "run --meta-file meta --hash-file known --key %s -- sh -c 'echo >>side'"},
	{"json replay", "run --json --key hit -- echo out"},
	{"replay", "run --wait=60 --key hit -- echo out"},
	{"verify", "run --verify true --exit-code interrupted=69 --key hit -- echo out"},
	{"verbose", "run -v --key hit -- echo out"},
	{"busy", "run --exit-code running=0 --key live -- sh -c 'echo >ready; exec sleep 300'"},
	{"list", "list"},
	{"show", "show live"},
	{"logs", "logs hit"},
	{"wait", "wait hit"},
	{"check", "check --key hit -- echo out"},
	{"forget", "forget %[1]s; idem mark done %[1]s; s=$?; idem forget %[1]s; exit $s"},
}

// tryOperation runs an operation and checks its result and its record. under is
// shell code that sets a limit and precedes idem.
func (b *box) tryOperation(under, name, call, key string) {
	b.t.Helper()
	what := fmt.Sprintf("%s, %s", under, name)
	runs := strings.Contains(call, "--key %s")
	if strings.Contains(call, "%") {
		call = fmt.Sprintf(call, key)
	}
	r := b.sh(under + " idem " + call)
	if name == "forget" && r.code == 1 {
		return // it works, and there was no record
	}
	b.wantClearEnd(what, r)
	if runs {
		b.wantRecordOf(what, key, r)
	}
}

// With few descriptors, a call works or is refused in one line.
func TestE2EFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		if op.name == "forget" || op.name == "hook" {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			b := boxWithLiveRun(t)
			for n := 3; n <= 27; n++ {
				b.tryOperation(fmt.Sprintf("ulimit -n %d; exec", n), op.name, op.call, fmt.Sprintf("k%d", n))
			}
		})
	}
	// Descriptors that the tests were started with would count as well.
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
	b := boxWithLiveRun(t) // docs/limits.md promises it
	b.wantStatus(b.sh("ulimit -n 26; idem run --key k -- true"), 0)
	b.wantStatus(b.sh("ulimit -n 30; idem run --tty --key l -- true"), 0)
	b.wantStatus(b.sh("ulimit -n 32; idem run --mutex m --mutex n:3 --key m -- true"), 0)
	b.wantStatus(b.sh("ulimit -n 8; idem run --key hit -- echo out"), 0)
}

// hookWarning is the only output of a call that has no room for its hook.
var hookWarning = regexp.MustCompile(`\Aidem: warning: replay hook 1 could not be run: .*\n\z`)

// wantReplayWithHook checks that a hook of a replay runs under a limit or causes a
// warning, and that the replay is the same. It reports whether the hook ran. under is
// shell code that sets the limit.
func (b *box) wantReplayWithHook(under string) bool {
	b.t.Helper()
	r := b.wantStatus(b.sh(under+" idem run --key hit --hook 'end=echo told' -- echo out"), 0)
	if r.out != "out\n" || r.err != "told\n" && !hookWarning.MatchString(r.err) {
		b.t.Errorf("%s: got %+v, want a replay, and the hook or a warning", under, r)
	}
	return r.err == "told\n"
}

// With few descriptors, a hook changes no replay.
func TestE2EHookWithFewDescriptors(t *testing.T) {
	t.Parallel()
	b := boxWithLiveRun(t)
	ran := 0
	for n := 8; n <= 34; n++ {
		if b.wantReplayWithHook(fmt.Sprintf("ulimit -n %d; exec", n)) {
			ran++
		}
	}
	if ran == 0 || ran > 20 {
		t.Errorf("the hook ran %d times, want some runs and some warnings", ran)
	}
}

// With little memory, a call works or is refused in one line, also where Go's
// runtime would not start.
func TestE2ELittleMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		return // the runtime reserves other amounts, and package entry is empty
	}
	b := boxWithLiveRun(t)
	sizes := []int{735, 742, 1131, 1141, 1145, 1155, 1285, 1320}
	for mib := 50; mib <= 1400; mib += 45 {
		sizes = append(sizes, mib)
	}
	for _, mib := range sizes {
		call := operations[mib%2]
		b.tryOperation(fmt.Sprintf("ulimit -v %d; exec", mib<<10), call.name, call.call, fmt.Sprintf("v%d", mib))
	}
	for mib := 36; mib <= 130; mib += 5 {
		call := operations[mib%2]
		b.tryOperation(fmt.Sprintf("ulimit -d %d; exec", mib<<10), call.name, call.call, fmt.Sprintf("d%d", mib))
	}
	for _, mib := range []int{840, 1100, 1360, 4096} { // docs/limits.md promises them
		b.wantStatus(b.sh(fmt.Sprintf("ulimit -v %d; idem run --tty --key v%d -- true", mib<<10, mib)), 0)
	}
	b.wantStatus(b.sh("ulimit -v 780000; idem list"), 69)
	b.wantStatus(b.sh("ulimit -d 131072; idem run --key d -- true"), 0)
}

// A low limit on the size of files is named in the message, because its effect
// looks like a full disk.
func TestE2ESmallFiles(t *testing.T) {
	t.Parallel()
	for _, kib := range []int{4, 32, 1000} {
		b := boxWithLiveRun(t)
		for _, op := range operations[:2] {
			under := fmt.Sprintf("ulimit -f %d; exec", kib)
			r := b.sh(fmt.Sprintf(under+" idem "+op.call, op.name))
			if b.wantClearEnd(under+op.name, r); r.code != 0 && !strings.Contains(r.err, "ulimit -f") || strings.Contains(r.err, "hint: make room") {
				t.Errorf("got status %d and stderr %s, want a hint of ulimit -f, and none to make room", r.code, r.err)
			}
			if b.lines("side") > 0 && r.code != 0 {
				t.Errorf("%s: got an execution, want none: %s", under, r.err)
			}
			_ = os.Remove(b.path("side"))
		}
	}
}

// With few processes, Go's runtime ends the process when it gets no thread.
// It must not end between the claim and the record.
func TestE2EFewProcesses(t *testing.T) {
	t.Parallel()
	requireTool(t, "prlimit")
	b := newBox(t)
	b.useNewUser(60000)
	b.wantStatus(b.run("run", "--key", "hit", "--", "echo", "out"), 0)
	for _, n := range []int{1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20, 22, 24, 26, 30} {
		if n < 6 && runtime.GOARCH != "amd64" {
			continue
		}
		for _, op := range operations[:5] {
			b.tryOperation(fmt.Sprintf("exec prlimit --nproc=%d:%[1]d", n), op.name, op.call, fmt.Sprintf("%s%d", op.name, n))
		}
		b.tryOperation(fmt.Sprintf("exec prlimit --nproc=%d:%[1]d", n), "replay", "run --key hit -- echo out", "")
		if n >= 6 { // as docs/limits.md says of a replay
			b.wantReplayWithHook(fmt.Sprintf("exec prlimit --nproc=%d:%[1]d", n))
		}
		b.tryOperation(fmt.Sprintf("exec prlimit --nproc=%d:%[1]d", n), "verify", "run --verify true --exit-code interrupted=69 --key hit -- echo out", "")
	}
	b.wantStatus(b.sh("exec prlimit --nproc=16 idem run --key k -- true"), 0) // docs/limits.md promises it
	b.wantStatus(b.sh("exec prlimit --nproc=28 idem run --tty --key l -- true"), 0)
}

// startRefusing starts idem in a sandbox that refuses the system calls
// CALL,CALL...
func (b *box) startRefusing(calls string, errno syscall.Errno, args ...string) *call {
	b.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	argv := append([]string{"child", "refuse", calls, fmt.Sprint(int(errno)), filepath.Join(binary(), "idem")}, args...)
	return b.start(argv, func(c *exec.Cmd) { c.Path, c.Err = exe, nil })
}

// In a sandbox that refuses a system call, a call works without it or is
// refused in one line.
func TestE2ESandbox(t *testing.T) {
	t.Parallel()
	for name, number := range map[string]uintptr{
		"epoll_create1": unix.SYS_EPOLL_CREATE1, "epoll_ctl": unix.SYS_EPOLL_CTL, "epoll_pwait": unix.SYS_EPOLL_PWAIT,
		"eventfd2": unix.SYS_EVENTFD2, "ppoll": unix.SYS_PPOLL, "pselect6": unix.SYS_PSELECT6, "getrandom": unix.SYS_GETRANDOM,
		"wait4": unix.SYS_WAIT4, "waitid": unix.SYS_WAITID, "pipe2": unix.SYS_PIPE2, "socketpair": unix.SYS_SOCKETPAIR,
		"getsockopt": unix.SYS_GETSOCKOPT, "setsid": unix.SYS_SETSID, "setpgid": unix.SYS_SETPGID, "dup3": unix.SYS_DUP3,
		"prlimit64": unix.SYS_PRLIMIT64, "sysinfo": unix.SYS_SYSINFO, "faccessat": unix.SYS_FACCESSAT, "sendfile": unix.SYS_SENDFILE,
		"kill": unix.SYS_KILL, "prctl": unix.SYS_PRCTL, "uname": unix.SYS_UNAME, "ftruncate": unix.SYS_FTRUNCATE,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := boxWithLiveRun(t)
			b.wantStatus(b.run("run", "--key", "long", "--", "head", "-c", "100000", "/dev/zero"), 0)
			for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS} {
				for i, args := range [][]string{
					{"run", "--timeout", "60"}, {"run", "--tty"}, {"run", "--json"}, {"run"},
				} {
					what := fmt.Sprintf("%s: %v: %q", name, errno, args)
					key := fmt.Sprintf("k%d-%d", errno, i)
					r := b.startRefusing(fmt.Sprint(number), errno, append(args, "--key", key, "--", "sh", "-c", "read x; echo >>side")...).wait()
					if r.code == 1 { // read reached the end of the input
						t.Errorf("%s: got %+v, want the input to reach the command", what, r)
					}
					b.wantClearEnd(what, r)
					b.wantRecordOf(what, key, r)
				}
				for _, args := range [][]string{
					{"run", "--key", "long", "--", "head", "-c", "100000", "/dev/zero"},
					{"run", "--key", "hit", "--verify", "true", "--exit-code", "interrupted=69", "--", "echo", "out"},
					{"list"},
					{"show", "live"},
					{"logs", "hit"},
					{"wait", "hit"},
					{"mark", "done", "m"},
					{"run", "-q", "--key", "live", "--exit-code", "running=0", "--", "sh", "-c", "echo >ready; exec sleep 300"},
				} {
					b.wantClearEnd(fmt.Sprintf("%s: %v: %q", name, errno, args), b.startRefusing(fmt.Sprint(number), errno, args...).wait())
				}
			}
		})
	}
}

// Without ppoll, and without select, the output is complete, the input has an
// end and a TERM arrives.
func TestE2ESandboxWithoutPoll(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]string{
		"ppoll": fmt.Sprint(unix.SYS_PPOLL), "select": fmt.Sprintf("%d,%d", unix.SYS_PPOLL, unix.SYS_PSELECT6),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			r := b.startRefusing(calls, unix.ENOSYS, "run", "--key", "k", "--", "sh", "-c", "head -c 300000 /dev/zero; echo err >&2").wait()
			if b.wantStatus(r, 0); len(r.out) != 300000 || r.err != "err\n" {
				t.Errorf("got %d bytes of stdout and stderr %q, want 300000 and %q", len(r.out), r.err, "err\n")
			}
			r = b.startRefusing(calls, unix.EPERM, "run", "--tty", "--key", "t", "--", "sh", "-c", "cat; cat; echo end").wait()
			if b.wantStatus(r, 0); r.out != "end\r\n" {
				t.Errorf("stdout: got %q, want %q", r.out, "end\r\n")
			}
			c := b.startRefusing(calls, unix.EPERM, "run", "--key", "l", "--", "sh", "-c", "echo >ready; sleep 60 >/dev/null 2>&1 & wait")
			b.waitLines("ready", 1)
			c.kill(unix.SIGTERM)
			if r := c.wait(); r.sig != unix.SIGTERM {
				t.Errorf("got %+v, want signal %v", r, unix.SIGTERM)
			}
			b.wantState("l", "failed")
		})
	}
}

// idem works without /proc.
func TestE2EWithoutProc(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTool(t, "unshare")
	if err := exec.Command("unshare", "--mount", "umount", "-l", "/proc").Run(); errors.As(err, new(*exec.ExitError)) {
		skipMissing(t, "the right to unmount /proc")
	}
	b := newBox(t)
	for _, call := range []string{
		"idem run --key k -- echo out", "idem run --key k -- echo out", "idem list", "idem show k", "idem wait k",
		"idem run --tty --key t -- sh -c 'test -t 0 && echo out'",
		"idem run --tty --timeout 60 --key d -- sh -c 'test -t 1 && echo out'",
		"(exec -a other idem run --tty --key other -- echo out)",
		"cd /; " + filepath.Join(".", binary(), "idem") + " run --tty --key relative -- echo out",
	} {
		r := b.wantStatus(b.start([]string{"unshare", "--mount", "bash", "-c", "umount -l /proc; test ! -e /proc/self || exit 9; " + call}).wait(), 0)
		if strings.Contains(call, "echo out") && strings.TrimSpace(r.out) != "out" || r.err != "" {
			t.Errorf("%s: got %+v, want stdout out and no stderr", call, r)
		}
	}
}

// If only stdout is a terminal, the command's terminal has its size, and idem
// writes the line ends itself.
func TestTTYOnStdoutAlone(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	x.resize(33, 101)
	for i, in := range []string{"</dev/null", "< <(echo in)"} {
		x.typeKeys(fmt.Sprintf("idem run --tty --key k%d -- bash -c 'stty size; read x; echo got-$x' %s 2>/dev/null; echo $? >status%[1]d\n", i, in))
		b.waitLines(fmt.Sprintf("status%d", i), 1)
		if s := b.read(fmt.Sprintf("status%d", i)); s != "0\n" {
			t.Errorf("%s: got status %s, want 0; the terminal shows %q", in, s, x.shown())
		}
	}
	for key, out := range map[string]string{"k0": "33 101\ngot-\n", "k1": "33 101\ngot-in\n"} {
		if r := b.wantStatus(b.run("logs", key), 0); r.out != out {
			t.Errorf("stdout: got %q, want %q", r.out, out)
		}
	}
	if s := x.shown(); !strings.Contains(s, "33 101\r\ngot-in\r\n") {
		t.Errorf("the terminal shows %q, want the size 33 101 and the input", s)
	}
}
