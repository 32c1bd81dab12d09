package cmd_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// terminal is a pseudo-terminal with a program in its foreground.
type terminal struct {
	b     *box
	tty   *os.File
	cmd   *exec.Cmd
	ended chan struct{}
	read  chan struct{} // closed when all output of the terminal has been read

	mu   sync.Mutex
	seen strings.Builder
}

// open starts argv as the leader of a session on a new terminal.
func (b *box) open(argv ...string) *terminal {
	b.t.Helper()
	requireTool(b.t, argv[0])
	x := &terminal{b: b, cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{}), read: make(chan struct{})}
	x.cmd.Dir, x.cmd.Env = b.dir, b.env
	tty, err := pty.Start(x.cmd)
	if err != nil {
		b.t.Fatal(err)
	}
	// This file can be closed during a read of it.
	fd, err := unix.FcntlInt(tty.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	tty.Close()
	x.tty = os.NewFile(uintptr(fd), "terminal")
	b.t.Cleanup(func() { x.tty.Close() })
	go func() {
		_ = x.cmd.Wait()
		close(x.ended)
	}()
	go func() {
		defer close(x.read)
		buf := make([]byte, 4096)
		for {
			n, err := x.tty.Read(buf)
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

// shell opens a terminal with an interactive bash that has job control.
func (b *box) shell() *terminal {
	b.t.Helper()
	return b.prompt("bash", "--norc", "--noprofile", "--noediting", "-i")
}

// prompt opens a terminal with an interactive shell and waits for its prompt.
func (b *box) prompt(argv ...string) *terminal {
	b.t.Helper()
	x := b.open(argv...)
	x.typeKeys("PS1=; echo >prompt\n")
	b.waitLines("prompt", 1)
	return x
}

func (x *terminal) typeKeys(keys string) {
	x.b.t.Helper()
	if _, err := x.tty.WriteString(keys); err != nil {
		x.b.t.Fatal(err)
	}
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.String()
}

// all waits until no process has the terminal open and returns all that the
// terminal has shown.
func (x *terminal) all() string {
	x.b.t.Helper()
	select {
	case <-x.read:
	case <-time.After(hangTimeout):
		x.b.t.Fatalf("got an open terminal, want it closed; it shows %q", x.shown())
	}
	return x.shown()
}

// end waits for the leader to end and returns its status.
func (x *terminal) end() syscall.WaitStatus {
	x.b.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(hangTimeout):
		x.b.t.Fatalf("got a running leader, want it to end; the terminal shows %q", x.shown())
	}
	return x.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// Ctrl-C ends idem and the command. The shell gets status 130, and the attempt
// failed.
func TestE2ECtrlC(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	x.typeKeys("idem run --key k -- sh -c 'echo $$ >pid; exec sleep 300'\n")
	pid := b.waitPID("pid")
	x.typeKeys(ctrlC)
	b.waitExit(pid)
	// Without this wait, bash may treat the rest of the typed text as
	// interrupted.
	b.waitUntil("the attempt is recorded", func() bool { return b.listedState("k") == "failed" })
	x.typeKeys("echo $? >status\n")
	b.waitLines("status", 1)
	if s := b.read("status"); s != "130\n" {
		t.Errorf("the shell got status %q, want 130; the terminal shows %q", s, x.shown())
	}
	if rec := b.wantState("k", "failed"); rec.Signal != "SIGINT" || rec.Reason != "signal" {
		t.Errorf("got %+v, want signal %q and reason %q", rec, "SIGINT", "signal")
	}
}

// A command with a handler gets each Ctrl-C once, and its own end counts.
func TestE2ECtrlCIsNotDoubled(t *testing.T) {
	t.Parallel()
	for presses := 1; presses <= 2; presses++ {
		b := newBox(t)
		x := b.shell()
		x.typeKeys("idem run --key k -- " + strings.Join(signalCounter(), " ") + "; echo $? >status\n")
		b.waitPID("pid")
		for n := 1; n <= presses; n++ {
			x.typeKeys(ctrlC)
			b.waitLines("signals", n)
			pauseBriefly()
		}
		b.write("go", "")
		b.waitLines("status", 1)
		if s := b.read("status"); s != "5\n" {
			t.Errorf("got status %q, want 5; the terminal shows %q", s, x.shown())
		}
		b.wantLines("signals", presses)
		if rec := b.wantState("k", "failed"); rec.Reason != "exit" {
			t.Errorf("got %+v, want reason %q", rec, "exit")
		}
	}
}

// Ctrl-C ends a loop of a script and of an interactive shell.
func TestE2ECtrlCEndsTheLoop(t *testing.T) {
	t.Parallel()
	loop := `for i in 1 2 3; do idem run --key k$i -- sh -c 'echo x >>side; exec sleep 300'; done; echo after >after`

	b := newBox(t)
	x := b.open("bash", "-c", loop)
	b.waitLines("side", 1)
	x.typeKeys(ctrlC)
	if ws := x.end(); !ws.Signaled() || ws.Signal() != syscall.SIGINT {
		t.Errorf("bash ended with %#x, want SIGINT", ws)
	}
	b.wantLines("side", 1)
	b.wantLines("after", 0)
	b.wantState("k1", "failed")

	b = newBox(t)
	x = b.shell()
	x.typeKeys(loop + "\n")
	b.waitLines("side", 1)
	x.typeKeys(ctrlC)
	b.waitUntil("the attempt is recorded", func() bool { return b.listedState("k1") == "failed" })
	x.typeKeys("echo >next\n")
	b.waitLines("next", 1)
	b.wantLines("side", 1)
	b.wantLines("after", 0)
}

// Ctrl-Z stops idem and the command, and fg continues both. The key is busy
// while they are stopped.
func TestE2ECtrlZ(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	script := countingScript + `exit 7`
	b.write("job", script)
	x.typeKeys("idem run --key k -- bash job\n")
	b.waitLines("side", 1)
	x.typeKeys(ctrlZ)
	x.typeKeys("jobs -p >jobs; jobs >job.state\n")
	idem := b.waitPID("jobs")
	b.waitUntil("idem stops", func() bool { return procState(idem) == "T" })
	b.waitLines("job.state", 1)
	if s := b.read("job.state"); !strings.Contains(s, "Stopped") {
		t.Errorf("jobs: got %q, want a stopped job", s)
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "job"), 75)
	x.typeKeys("fg; echo $? >status\n")
	b.waitUntil("idem goes on", func() bool { return procState(idem) != "T" })
	b.write("go", "")
	b.waitLines("status", 1)
	if s := b.read("status"); s != "7\n" {
		t.Errorf("got status %q, want 7; the terminal shows %q", s, x.shown())
	}
	b.wantLines("side", 1)
	if rec := b.wantState("k", "failed"); rec.Reason != "exit" || *rec.ExitCode != 7 {
		t.Errorf("got %+v, want reason %q and status %d", rec, "exit", 7)
	}
}

// The command reads from the terminal.
func TestE2EReadsTheTerminal(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	x.typeKeys(`idem run --key k -- bash -c '[ -t 0 ] && echo >ready; read line; echo "$line" >got'; echo $? >status` + "\n")
	b.waitLines("ready", 1)
	x.typeKeys("hello\n")
	b.waitLines("status", 1)
	if s := b.read("status") + b.read("got"); s != "0\nhello\n" {
		t.Errorf("got %q, want %q; the terminal shows %q", s, "0\nhello\n", x.shown())
	}
}

// When the terminal closes, the command gets HUP, with and without a handler.
// Its end is recorded although idem can print nothing.
func TestE2ETerminalCloses(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]record{
		`echo $$ >pid; exec sleep 300`: {Reason: "signal", Signal: "SIGHUP"},
		`trap 'echo x >>hups; echo bye; echo bye >&2; exit 5' HUP; echo $$ >pid; while :; do echo tick; sleep 0.05; done`: {Reason: "exit"},
	} {
		b := newBox(t)
		x := b.shell()
		b.write("job", script)
		x.typeKeys("idem run --key k -- bash job\n")
		pid := b.waitPID("pid")
		if err := x.tty.Close(); err != nil {
			t.Fatal(err)
		}
		b.waitExit(pid)
		b.waitUntil("the attempt is recorded", func() bool { return b.listedState("k") == "failed" })
		rec := b.show("k")
		if rec.Reason != want.Reason || rec.Signal != want.Signal {
			t.Errorf("got %+v, want reason %q and signal %q", rec, want.Reason, want.Signal)
		}
		if want.Reason == "exit" {
			if out := b.run("logs", "k"); !strings.HasSuffix(out.out, "bye\n") || !strings.HasSuffix(out.err, "bye\n") || *rec.ExitCode != 5 {
				t.Errorf("got %+v and %+v, want status 5 and bye on both streams", rec, out)
			}
		}
	}
}
