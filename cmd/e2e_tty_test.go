package cmd_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// resize sets the size of the terminal, as a window does.
func (x *terminal) resize(rows, cols uint16) {
	x.b.t.Helper()
	if err := pty.Setsize(x.tty, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		x.b.t.Fatal(err)
	}
}

func (x *terminal) waitShown(text string) {
	x.b.t.Helper()
	x.b.waitUntil("the terminal shows "+text, func() bool { return strings.Contains(x.shown(), text) })
}

// modes types a command that writes the terminal's modes into a file, and
// returns the modes.
func (x *terminal) modes(file string) string {
	x.b.t.Helper()
	x.typeKeys("stty -g >" + file + "\n")
	x.b.waitLines(file, 1)
	return x.b.read(file)
}

// stdin gives a call text to read.
func stdin(text string) func(*exec.Cmd) {
	return func(c *exec.Cmd) { c.Stdin = strings.NewReader(text) }
}

// The command has a separate terminal, with the size of idem's terminal.
func TestTTYHasTheSizeOfOurs(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	x.resize(33, 101)
	x.typeKeys("tty >ours; idem run --key k --tty -- bash -c '" +
		`trap "stty size >>sizes" WINCH; tty >theirs; stty size >>sizes; until [ -e go ]; do sleep 0.05; done; [ -t 0 -a -t 1 -a -t 2 ]` +
		"'; echo $? >status\n")
	b.waitLines("sizes", 1)
	x.resize(44, 55)
	b.waitLines("sizes", 2)
	b.write("go", "")
	b.waitLines("status", 1)
	if s := b.read("sizes") + b.read("status"); s != "33 101\n44 55\n0\n" {
		t.Errorf("got %q, want %q; the terminal shows %q", s, "33 101\n44 55\n0\n", x.shown())
	}
	if b.read("ours") == b.read("theirs") {
		t.Error("got idem's terminal in the command, want another one")
	}
}

// The command's terminal echoes typed text, so the text is recorded, except
// while the command turns the echo off. It is shown once.
func TestTTYEcho(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	x.typeKeys("stty -echo; echo >quiet\n") // the shell's own echo does not matter here
	b.waitLines("quiet", 1)
	x.typeKeys("stty echo; clear; idem run --key k --tty -- bash -c 'echo >ready; read name; read -s -p password: word; echo; echo $name-${#word}; echo err >&2'; echo >status\n")
	b.waitLines("ready", 1)
	x.typeKeys("somebody\n")
	x.waitShown("password:")
	x.typeKeys("secret\n")
	b.waitLines("status", 1)
	out := b.run("logs", "k")
	if want := "somebody\r\npassword:\r\nsomebody-6\r\nerr\r\n"; out.out != want || out.err != "" {
		t.Errorf("got the record %q and %q, want %q", out.out, out.err, want)
	}
	if !strings.Contains(x.shown(), out.out) || strings.Contains(x.shown(), "secret") {
		t.Errorf("the terminal shows %q, want the record without the password", x.shown())
	}
	if again := b.run("run", "--key", "k", "--", "bash", "-c",
		"echo >ready; read name; read -s -p password: word; echo; echo $name-${#word}; echo err >&2"); again.out != out.out || again.err != "" || again.code != 0 {
		t.Errorf("replay: got %+v, want stdout %q", again, out.out)
	}
}

// Whatever ends the command or idem, idem restores the modes of the terminal.
// No shell restores them in this test.
func TestTTYRestores(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to     string // the process that gets the signal
		signal string
		want   syscall.Signal
	}{
		"the command is killed": {"pid", "KILL", syscall.SIGKILL},
		"idem is told to end":   {"idem", "TERM", syscall.SIGTERM},
		"idem is hung up":       {"idem", "HUP", syscall.SIGHUP},
		"idem is interrupted":   {"idem", "INT", syscall.SIGINT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			b.write("outer", `trap : TERM HUP INT; stty -g >before; `+
				`bash -c 'trap - TERM HUP INT; echo $$ >idem; exec idem run --key k --tty -- sh -c "echo \$\$ >pid; exec sleep 300"'; `+
				`echo $? >status; stty -g >after; echo >end`)
			x := b.open("bash", "outer")
			b.waitPID("pid")
			b.waitLines("before", 1)
			b.sh("kill -" + c.signal + " $(cat " + c.to + ")")
			b.waitLines("end", 1)
			if before, after := b.read("before"), b.read("after"); before != after {
				t.Errorf("got the modes %s, want %s; the terminal shows %q", after, before, x.shown())
			}
			if rec := b.wantState("k", "failed"); rec.Signal != unix.SignalName(c.want) {
				t.Errorf("got %+v, want signal %q", rec, unix.SignalName(c.want))
			}
		})
	}
}

// waitInBash waits in bash, which forks. dash uses vfork, and a Ctrl-Z between
// vfork and exec stops only the child. The parent then hangs in the kernel
// until a process continues the child, with or without idem.
const waitInBash = "echo $$ >pid; until [ -e go ]; do sleep 0.05; done; exit 8"

// Without a shell to continue it, idem is not stopped by Ctrl-Z, and its
// command only briefly. When the terminal goes away, the command gets HUP.
func TestTTYWithoutAShell(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.open("idem", "run", "--key", "k", "--tty", "--", "bash", "-c", waitInBash)
	pid := b.waitPID("pid")
	x.typeKeys(ctrlZ)
	b.waitUntil("the command is continued", func() bool { return strings.Contains(x.shown(), "^Z") && procState(pid) != "T" })
	b.write("go", "")
	if ws := x.end(); ws.ExitStatus() != 8 {
		t.Errorf("got status %#x, want exit status 8; the terminal shows %q", ws, x.shown())
	}

	b = newBox(t)
	x = b.open("idem", "run", "--key", "k", "--tty", "--", "sh", "-c", "echo $$ >pid; exec sleep 300")
	pid = b.waitPID("pid")
	x.tty.Close()
	b.waitExit(pid)
	b.waitUntil("the attempt is recorded", func() bool { return b.listedState("k") == "failed" })
	if rec := b.show("k"); rec.Signal != "SIGHUP" {
		t.Errorf("got %+v, want signal %q", rec, "SIGHUP")
	}
}

// All output of the command before its end is complete, live, recorded and in
// the replay.
func TestTTYOutputIsComplete(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const script = "head -c 5242880 /dev/zero | tr '\\0' x; echo; seq 100000"
	want, err := exec.Command("bash", "-c", "{ "+script+`; } | sed 's/$/\r/'`).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"live", "replayed"} {
		if r := b.run("run", "--key", "k", "--tty", "--", "bash", "-c", script); r.code != 0 || r.out != string(want) || r.err != "" {
			t.Errorf("%s: got status %d and %d bytes, want 0 and %d; stderr %q", what, r.code, len(r.out), len(want), r.err)
		}
	}
	// The last bytes are most likely lost if the command is short.
	for i := range 50 {
		key := "short" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		if r := b.run("run", "--key", key, "--tty", "--", "sh", "-c", "echo a; echo b >&2"); r.out != "a\r\nb\r\n" {
			t.Fatalf("got %+v, want stdout %q", r, "a\r\nb\r\n")
		}
	}
}

// Without any terminal, the command still has one. Piped input ends with the
// pipe, for each reader.
func TestTTYWithoutATerminal(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for script, want := range map[string]string{
		"tty >/dev/null && stty size":            "0 0\r\n",
		"cat":                                    "one\r\ntwo",
		"read x; echo $x; cat; cat; echo $?":     "one\r\ntwo0\r\n",
		"sleep 0.3; cat":                         "one\r\ntwo",
		"exec <&- >&- 2>&-; exec >/dev/tty; pwd": b.dir + "\r\n",
		"echo over; exec bash -i 2>/dev/null <<<'echo yes'": "over\r\nyes\r\n",
	} {
		key := "k:" + strings.ReplaceAll(script, "\n", " ")
		c := b.start([]string{"idem", "run", "--key", key, "--tty", "--", "bash", "-c", script}, stdin("one\ntwo"))
		if r := c.wait(); r.code != 0 || r.out != want {
			t.Errorf("%q: got %+v, want stdout %q", script, r, want)
		}
	}
	if r := b.run("run", "--key", "null", "--tty", "--", "sh", "-c", "cat; cat; echo $?"); r.out != "0\r\n" {
		t.Errorf("got %+v, want stdout %q", r, "0\r\n")
	}
}

// The exit statuses are the same as without a terminal.
func TestTTYStatuses(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("noexec", "echo $1; exit 9")
	if err := os.Chmod(b.dir+"/noexec", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		argv []string
	}{
		{3, []string{"sh", "-c", "exit 3"}},
		{127, []string{"./not-there"}},
		{126, []string{"/"}},
		{9, []string{"./noexec", "x"}},
		{128 + 15, []string{"sh", "-c", "kill $$"}},
		{128 + 9, []string{"sh", "-c", "kill -KILL $$"}},
	} {
		r := b.run("run", "--key", strings.Join(c.argv, " "), "--tty", "--", c.argv[0], strings.Join(c.argv[1:min(2, len(c.argv))], ""), strings.Join(c.argv[min(2, len(c.argv)):], ""))
		b.wantStatus(r, c.code)
	}
	b.wantStatus(b.run("run", "--key", "late", "--tty", "--timeout", "1", "--", "sleep", "300"), 124)
	if rec := b.wantState("late", "failed"); rec.Reason != "timeout" {
		t.Errorf("got %+v, want reason %q", rec, "timeout")
	}
	if r := b.run("run", "--key", "again", "--tty", "--retries", "2", "--retry-delay", "0", "--", "sh", "-c", "echo x; echo x >>side; exit 4"); r.code != 4 || r.out != "x\r\nx\r\nx\r\n" {
		t.Errorf("got %+v, want status %d and stdout %q", r, 4, "x\r\nx\r\nx\r\n")
	}
	b.wantLines("side", 3)
	if r := b.run("run", "--key", "left", "--tty", "--", "sh", "-c", "(sleep 300 &); echo x; exit 5"); r.code != 5 || r.out != "x\r\n" {
		t.Errorf("got %+v, want status %d and stdout %q", r, 5, "x\r\n")
	}
}

// kill -9 of idem closes the terminal, so the command gets HUP. The key is busy
// while the command lives. After that, its outcome is unknown.
func TestTTYKilledIdem(t *testing.T) {
	t.Parallel()
	for script, lives := range map[string]bool{
		`echo $$ >pid; exec sleep 300`: false,
		`trap 'echo >>hups' HUP; echo $$ >pid; until [ -e go ]; do sleep 0.05; done`: true,
		// The shell gives the foreground to another process group.
		`trap 'echo >>hups' HUP; set -m; sh -c 'until ps -o stat= -p $$ | grep -qF +; do sleep 0.02; done; echo $PPID >pid; exec sleep 300' & fg; until [ -e go ]; do sleep 0.05; done`: true,
	} {
		b := newBox(t)
		c := b.idem("run", "--key", "k", "--tty", "--", "bash", "-c", script)
		pid := b.waitPID("pid")
		c.kill(syscall.SIGKILL)
		c.wait()
		if lives {
			b.waitLines("hups", 1)
			b.wantStatus(b.run("run", "--key", "k", "--tty", "--", "bash", "-c", script), 75)
			b.write("go", "")
		}
		b.waitExit(pid)
		b.waitUntil("the key is interrupted", func() bool { return b.listedState("k") == "interrupted" })
		b.wantStatus(b.run("run", "--key", "k", "--tty", "--", "bash", "-c", script), 79)
	}
}
