package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1, 2, 7, 64, 75, 124, 125, 126, 127, 128, 130, 143, 254, 255} {
		c, _ := command(t, "/bin/sh", "-c", fmt.Sprint("exit ", code))
		if got, want := run(t, c).Status, (Status{ExitCode: code}); got != want {
			t.Errorf("exit %d: %+v", code, got)
		}
	}
}

var terminating = []syscall.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
	unix.SIGKILL, unix.SIGUSR1, unix.SIGSEGV, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM,
	unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, unix.SIGSYS,
}

func TestDeathBySignal(t *testing.T) {
	t.Parallel()
	for _, sig := range terminating {
		c, _ := command(t, "/bin/sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))
		if got, want := run(t, c).Status, (Status{ExitCode: 128 + int(sig), Signal: sig}); got != want {
			t.Errorf("signal %v: %+v", sig, got)
		}
	}
}

func TestStatusWhenTheCallerIgnoresSIGCHLD(t *testing.T) {
	t.Parallel()
	if err := sh(t, `trap '' CHLD; exec $IDEM sh -c 'exit 7'`).Run(); exitCode(err) != 7 {
		t.Error(err)
	}
}

func exitCode(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	return -1
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"bin", "bin2", "bin/dir", "."} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"bin/data": 0o600, "bin/both": 0o600, "bin2/both": 0o700, "here": 0o700, "bin2/tool": 0o700} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	bin := filepath.Join(dir, "bin")
	for _, test := range []struct {
		path, name, want string
		code             int
	}{
		{bin + ":bin2", "tool", "bin2/tool", 0},
		{bin + ":bin2", "both", "bin2/both", 0},
		{bin + ":bin2", "data", "", 126},
		{bin + ":bin2", "dir", "", 126},
		{bin + ":bin2", "no-such-thing", "", 127},
		{bin + ":bin2", "here", "", 127},
		{bin + ":.", "here", "./here", 0},
		{bin + ":", "here", "./here", 0},
		{"", "here", "./here", 0},
		{bin + "/data:bin2", "tool", "bin2/tool", 0}, // ENOTDIR in PATH
		{bin, "", "", 127},
		{bin, "./here", "./here", 0},
		{bin, "./nothing", "", 127},
		{bin, "bin/data", "", 126},
		{bin, "bin/dir", "", 126},
		{bin, "bin/data/x", "", 126},
		{bin, "/", "", 126},
	} {
		t.Setenv("PATH", test.path)
		got, err := LookPath(test.name)
		var e *StartError
		errors.As(err, &e)
		code := 0
		if e != nil {
			code = e.Code
		}
		if got != test.want || code != test.code {
			t.Errorf("%q in %q: %q, %d (%v); want %q, %d", test.name, test.path, got, code, err, test.want, test.code)
		}
	}
	os.Unsetenv("PATH") // t.Setenv restores it
	if got, err := LookPath("sh"); err != nil {
		t.Errorf("without PATH: %q, %v", got, err)
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	busy := write(t, "busy", "#!/bin/sh\n", 0o700)
	f, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, test := range []struct {
		file, arg string
		code      int
		want      string
	}{
		{write(t, "a", "#!/no/such/thing -x\n", 0o700), "", 126, `its interpreter "/no/such/thing": no such file`},
		{write(t, "a", "#!/bin/sh\r\n", 0o700), "", 126, `its interpreter "/bin/sh\r": no such file`},
		{write(t, "a", "#!/etc/passwd\n", 0o700), "", 126, `its interpreter "/etc/passwd": permission denied`},
		{write(t, "a", "#!/tmp\n", 0o700), "", 126, `its interpreter "/tmp": is a directory`},
		{write(t, "a", "#!/bin/sh\n", 0o600), "", 126, "permission denied"},
		{write(t, "a", "\x7fELF\x00\x00junk", 0o700), "", 126, "exec format error"},
		{t.TempDir(), "", 126, "permission denied"},
		{t.TempDir() + "/gone", "", 127, "no such file"},
		{"/bin/echo", strings.Repeat("x", 200_000), 126, "argument list too long"},
		{"/bin/echo", "a\x00b", 126, "invalid argument"},
		{busy, "", 126, "text file busy"},
	} {
		c := &Command{Path: test.file, Args: []string{"name", test.arg}, Record: func(Stream, []byte) { t.Error("the command ran") }}
		e, err := c.Run(t.Context(), nil)
		var start *StartError
		if !errors.As(err, &start) || e != nil {
			t.Errorf("got %+v, error %v; want a StartError: %s", e, err, test.want)
			continue
		}
		if TextBusy(err) != (test.file == busy) || Scarce(err) {
			t.Errorf("%v: got TextBusy %v, Scarce %v", err, TextBusy(err), Scarce(err))
		}
		if start.Code != test.code || start.Name != "name" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("code %d, error %v; want code %d, error %s", start.Code, err, test.code, test.want)
		}
	}
}

func TestBusyFileIsWaitedFor(t *testing.T) {
	t.Parallel()
	exe, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	file := write(t, "busy", string(exe), 0o700)
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { f.Close() })
	if e := run(t, &Command{Path: file, Args: []string{"true"}}); e.ExitCode != 0 {
		t.Errorf("got status %+v, want exit status 0", e.Status)
	}
}

func TestScriptWithoutInterpreterIsRunBySh(t *testing.T) {
	t.Parallel()
	file := write(t, "script", "echo \"$1|$2\"\nexit 6\n", 0o700)
	c, rec := command(t, file, "a b", "c")
	if e := run(t, c); e.ExitCode != 6 || string(rec.bytes(Stdout)) != "a b|c\n" {
		t.Errorf("got status %+v, output %q; want exit status 6, \"a b|c\\n\"", e.Status, rec.bytes(Stdout))
	}
}

func TestContextEndsTheCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		after  time.Duration
		want   Status
	}{
		{"echo; exec sleep 60", 0, Status{ExitCode: 143, Signal: unix.SIGTERM}},
		{"trap 'exit 9' TERM; echo; while :; do sleep 0.05; done", time.Minute, Status{ExitCode: 9}},
		{"trap '' TERM; echo; while :; do sleep 0.05; done", 200 * time.Millisecond, Status{ExitCode: 137, Signal: unix.SIGKILL}},
		{"echo; kill -STOP $$; sleep 60", time.Minute, Status{ExitCode: 143, Signal: unix.SIGTERM}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c, rec := command(t, "/bin/sh", "-c", test.script)
		c.KillAfter = test.after
		go func() {
			waitFor(t, "the command", func() bool { return len(rec.bytes(Stdout)) > 0 })
			time.Sleep(50 * time.Millisecond)
			cancel()
		}()
		e, err := c.Run(ctx, nil)
		if err != nil || e.Status != test.want || e.StoppedBy != ByContext {
			t.Errorf("%s: got %+v, error %v; want %+v by the context", test.script, e, err, test.want)
		}
		if e, err := c.Run(ctx, nil); e != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v, %v", e, err)
		}
	}
}

// If the command has made its own group, the context ends the whole group.
func TestContextEndsTheCommandsOwnGroup(t *testing.T) {
	t.Parallel()
	if _, err := LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, rec := command(t, "setsid", "/bin/sh", "-c", "sleep 60 & echo $!; wait")
	go func() {
		waitFor(t, "the pid", func() bool { return strings.HasSuffix(string(rec.bytes(Stdout)), "\n") })
		cancel()
	}()
	if _, err := c.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(rec.bytes(Stdout)))
	waitFor(t, "the group's end", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestDieOf(t *testing.T) {
	t.Parallel()
	for _, sig := range terminating {
		for _, trap := range []string{"", "trap '' HUP INT QUIT TERM ABRT SEGV ALRM; "} {
			argv := append(self(t, "die"), strconv.Itoa(int(sig)))
			out, err := exec.Command("/bin/sh", "-c", trap+`ulimit -c unlimited 2>/dev/null; cd `+t.TempDir()+` && exec "$@"`+"", "sh", argv[0], argv[1], argv[2], argv[3]).CombinedOutput()
			var e *exec.ExitError
			if !errors.As(err, &e) {
				t.Errorf("got error %v, want death by %v", err, sig)
				continue
			}
			ws := e.Sys().(syscall.WaitStatus)
			if !ws.Signaled() || ws.Signal() != sig || ws.CoreDump() {
				t.Errorf("%v: status %#x, %v", sig, uint32(ws), err)
			}
			if diff := cmp.Diff("", string(out)); diff != "" {
				t.Errorf("%v: printed %s", sig, diff)
			}
		}
	}
	if err := exec.Command("/usr/bin/env", append(self(t, "die")[1:], strconv.Itoa(int(unix.SIGCHLD)))...).Run(); exitCode(err) != 99 {
		t.Errorf("SIGCHLD ends no process, but: %v", err)
	}
}
