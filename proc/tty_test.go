package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"idem/internal/testkit"
)

// newTerminal returns a terminal that is not the controlling terminal of a process.
func newTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func modesOf(t *testing.T, f *os.File) term.State {
	t.Helper()
	s, err := term.GetState(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// The caller's terminal is raw while the command runs. Then its modes are restored.
func TestOwnTerminalIsRawMeanwhile(t *testing.T) {
	t.Parallel()
	master, slave := newTerminal(t)
	if err := pty.Setsize(master, &pty.Winsize{Rows: 7, Cols: 77}); err != nil {
		t.Fatal(err)
	}
	before := modesOf(t, slave)
	c, rec := command(t, "/bin/sh", "-c", "stty size; read x; echo $x; exit 3")
	c.TTY, c.Stdin = true, slave
	end := make(chan *End)
	go func() { end <- run(t, c) }()
	waitFor(t, "the command", func() bool { return len(rec.bytes(Stdout)) > 0 })
	if modesOf(t, slave) == before {
		t.Error("the terminal has its old modes while the command runs, want raw")
	}
	_, _ = master.WriteString("words\r") // the key Enter
	if e := <-end; e.ExitCode != 3 {
		t.Errorf("got status %+v, want exit status 3", e.Status)
	}
	if modesOf(t, slave) != before {
		t.Error("the terminal has other modes after the command, want those before it")
	}
	const want = "7 77\r\nwords\r\nwords\r\n"
	if got := string(rec.bytes(Stdout)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The modes are also restored if idem panics.
func TestOwnTerminalAfterAPanic(t *testing.T) {
	t.Parallel()
	_, slave := newTerminal(t)
	before := modesOf(t, slave)
	c, _ := command(t, "/bin/sh", "-c", "echo $$; exec sleep 300")
	c.TTY, c.Stdin = true, slave
	var pid string
	c.Record = func(_ Stream, p []byte) {
		pid = strings.TrimSpace(string(p))
		if modesOf(t, slave) == before {
			t.Error("the terminal has its old modes while the command runs, want raw")
		}
		panic("a test")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("got no panic, want that of Record")
			}
		}()
		_, _ = c.Run(t.Context(), nil)
	}()
	if modesOf(t, slave) != before {
		t.Error("the terminal has other modes after the panic, want those before it")
	}
	// Without idem, the command has no terminal.
	waitFor(t, "the command's end", func() bool {
		args, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		return len(args) == 0 // also if it is a zombie that is never reaped
	})
}

// All output in the kernel's buffer at the command's end is read, although one read
// takes at most 4 KiB. The command ends only after idem is busy.
func TestTTYIsDrained(t *testing.T) {
	testkit.Slow(t, "it waits for processes that outlive the command")
	t.Parallel()
	const n = 10000 // the buffer holds about 12 KiB
	c, rec := command(t, "/bin/sh", "-c", "echo; read x; (sleep 300 &) ; head -c "+strconv.Itoa(n)+" /dev/zero")
	in, feed := newPipe(t)
	c.TTY, c.Stdin = true, in
	busy := false
	c.Record = func(s Stream, p []byte) {
		if !busy {
			busy = true
			_, _ = feed.WriteString("go\n")
			time.Sleep(time.Second) // long enough for the command to write everything and end
		}
		rec.record(s, p)
	}
	run(t, c)
	if got := len(rec.bytes(Stdout)); got != 2+n {
		t.Errorf("recorded %d bytes, want %d", got, 2+n)
	}
}

// A signal for the process group may end the leader before the leader has left the
// group. Nothing was started then. The result is that of the leader, as if a process
// had died before it executed the command.
func TestLeaderThatDiesBeforeTheStart(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGUSR1, unix.SIGKILL} {
		c, _ := command(t, "/bin/sh", "-c", "exit 3")
		in, _ := newPipe(t)
		c.TTY, c.Stdin = true, in
		c.Env = append(os.Environ(), fmt.Sprintf("PROC_LEADER_DIES=%d", sig))
		e, err := c.Run(t.Context(), nil)
		if err != nil || e.Status.Signal != sig {
			t.Errorf("got %+v, error %v; want death by %v", e, err, sig)
		}
	}
}

// If the leader is killed, the exit status of the command is lost. This is not a
// failed start.
func TestLeaderThatIsKilled(t *testing.T) {
	t.Parallel()
	c, _ := command(t, "/bin/sh", "-c", "kill -KILL $PPID; exec sleep 300")
	c.TTY, c.Stdin = true, os.Stdin
	e, err := c.Run(t.Context(), nil)
	if lost := new(LostError); !errors.As(err, &lost) || e == nil {
		t.Errorf("got %+v, error %v; want an end and a LostError", e, err)
	}
}

// With a terminal, the command has the same descriptors as without.
func TestDescriptorsOfATTY(t *testing.T) {
	t.Parallel()
	c, rec := command(t, "/bin/sh", "-c", "echo /proc/$$/fd/*")
	c.TTY, c.Inherit = true, []*os.File{os.Stdin}
	run(t, c)
	got := strings.Fields(string(rec.bytes(Stdout)))
	d, plain := command(t, "/bin/sh", "-c", "echo /proc/$$/fd/*")
	d.Inherit = c.Inherit
	run(t, d)
	if want := strings.Fields(string(plain.bytes(Stdout))); len(got) != len(want) {
		t.Errorf("descriptors %q, without a terminal %q", got, want)
	}
}

// Helper refuses arguments that a user has typed.
func TestHelperIsNotForPeople(t *testing.T) {
	for _, word := range []string{leaderWord, commandWord} {
		if _, asked := Helper([]string{word, "/bin/true", "true"}); asked {
			t.Errorf("Helper accepts %s", word)
		}
	}
}

// Signals may still be sent while the connection to the leader is closed. The race
// detector checks that.
func TestTTYIsClosedUnderSignals(t *testing.T) {
	t.Parallel()
	for range 100 {
		in, _ := newPipe(t)
		x, err := openTTY(&Command{Stdin: in})
		if err != nil {
			t.Fatal(err)
		}
		near, far, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		x.conn = near
		begun, over := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			for i := range 100 {
				x.signal(unix.SIGUSR1)
				if i == 10 {
					close(begun)
				}
			}
		}()
		<-begun
		near.Close() // as reap does
		x.close()
		<-over
		x.discard()
		far.Close()
	}
}
