package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// usual are the signals for which programs usually have handlers.
var usual = []syscall.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2}

// session is a run of idem with the counting helper.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer // the keyboard of the terminal
	out *bufio.Reader
	got []string
}

// counting starts idem in a separate session, with or without a terminal.
func counting(t *testing.T, tty bool, args ...string) *session {
	t.Helper()
	return startSession(t, tty, idem(t, append(self(t, "count"), args...)...))
}

func startSession(t *testing.T, tty bool, c *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, cmd: c}
	if tty {
		f, err := pty.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		s.in, s.out = f, bufio.NewReader(f)
	} else {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		r, w := newPipe(t)
		c.Stdout, c.Stderr = w, w
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		s.out = bufio.NewReader(r)
	}
	t.Cleanup(func() { c.Process.Kill() })
	return s
}

// until reads lines until one contains the word.
func (s *session) until(word string) {
	s.t.Helper()
	for {
		line, err := s.out.ReadString('\n')
		if at := strings.Index(line, "got "); at >= 0 { // a terminal shows ^C before it
			s.got = append(s.got, strings.TrimSpace(line[at+4:]))
		}
		if strings.Contains(line, word) {
			return
		}
		if err != nil {
			s.t.Fatalf("waiting for %q: %v; last line %q", word, err, line)
		}
	}
}

func (s *session) kill(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// end checks the signals that the command got, and that idem ended with its status.
func (s *session) end(want ...string) {
	s.t.Helper()
	s.until("over")
	if diff := cmp.Diff(want, s.got); diff != "" {
		s.t.Errorf("the command got (-want +got) %s", diff)
	}
	if err := s.cmd.Wait(); exitCode(err) != 5 {
		s.t.Errorf("idem ended with %v", err)
	}
}

func TestSignalsWithoutTerminal(t *testing.T) {
	for _, sig := range usual {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			s := counting(t, false)
			s.until("ready")
			s.kill(sig)
			s.end(unix.SignalName(sig))
		})
	}
}

func TestSignalsOnATerminal(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			s := counting(t, true)
			s.until("ready")
			s.kill(sig)
			s.end(unix.SignalName(sig))
		})
	}
	for name, keys := range map[string][]string{
		"SIGINT": {"\x03"}, "SIGINT twice": {"\x03", "\x03"}, "SIGQUIT": {"\x1c"},
	} {
		t.Run("key "+name, func(t *testing.T) {
			t.Parallel()
			s := counting(t, true)
			s.until("ready")
			var want []string
			for _, key := range keys {
				fmt.Fprint(s.in, key)
				s.until("got")
				want = append(want, strings.Fields(name)[0])
			}
			s.end(want...)
		})
	}
	t.Run("command in its own group", func(t *testing.T) {
		t.Parallel()
		s := counting(t, true, "setpgid")
		s.until("ready")
		fmt.Fprint(s.in, "\x03")
		s.end("SIGINT")
	})
}

func TestCommandThatIgnoresCtrlC(t *testing.T) {
	t.Parallel()
	s := startSession(t, true, idem(t, "/bin/sh", "-c", "trap '' INT; echo ready; sleep 0.5; echo over; exit 5"))
	s.until("ready")
	fmt.Fprint(s.in, "\x03\x03")
	s.end()
}

// The calling shell must see a death by INT. Otherwise its loop continues.
func TestCtrlCEndsTheCallersLoop(t *testing.T) {
	t.Parallel()
	c := exec.Command("/bin/bash", "-c", `for i in 1 2 3; do `+strings.Join(self(t, "idem"), " ")+` sh -c 'echo ready; sleep 20'; echo over; done; echo over`)
	s := startSession(t, true, c)
	s.until("ready")
	fmt.Fprint(s.in, "\x03")
	rest, _ := io.ReadAll(s.out)
	if strings.Contains(string(rest), "over") {
		t.Errorf("the loop continued: %q", rest)
	}
	c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGINT {
		t.Errorf("the shell has wait status %#x, want INT", uint32(ws))
	}
}

// helperLeader is a shell with job control. It runs idem in a foreground group,
// reports when that group is stopped, and continues it. With "background", it runs
// idem in a background group and prints its pid.
func helperLeader(args []string) int {
	background := args[0] == "background"
	if background {
		args = args[1:]
	}
	c := exec.Command(args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: !background}
	if err := c.Start(); err != nil {
		panic(err)
	}
	if background {
		fmt.Println("pid", c.Process.Pid)
	}
	for {
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(c.Process.Pid, &ws, syscall.WUNTRACED, nil); err == syscall.EINTR {
			continue
		} else if err != nil {
			panic(err)
		}
		if !ws.Stopped() {
			return ws.ExitStatus()
		}
		fmt.Println("stopped by", unix.SignalName(ws.StopSignal()))
		time.Sleep(200 * time.Millisecond)
		syscall.Kill(-c.Process.Pid, syscall.SIGCONT)
	}
}

func TestCtrlZStopsBothAndContGoesOn(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "leader"), self(t, "idem")...)
	argv = append(argv, self(t, "count")...)
	s := startSession(t, true, exec.Command(argv[0], argv[1:]...))
	s.until("ready")
	fmt.Fprint(s.in, "\x1a")
	s.until("stopped by SIGTSTP")
	time.Sleep(400 * time.Millisecond)
	fmt.Fprint(s.in, "\x03") // the command runs again, and gets the terminal's signals
	s.end("SIGINT")
}

// The terminal sends no signal to a background job, so idem must pass this one on.
func TestSignalToABackgroundJob(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "leader"), "background")
	argv = append(argv, self(t, "idem")...)
	argv = append(argv, self(t, "count")...)
	s := startSession(t, true, exec.Command(argv[0], argv[1:]...))
	var pid int
	line, err := s.out.ReadString('\n')
	if _, serr := fmt.Sscanf(line, "pid %d", &pid); serr != nil {
		t.Fatalf("got %q, error %v; want a line with a pid", line, err)
	}
	s.until("ready")
	if err := syscall.Kill(pid, unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.end("SIGINT")
}

// If the terminal hangs up, the live copy ends but the record is complete.
func TestTerminalHangsUp(t *testing.T) {
	t.Parallel()
	record := t.TempDir() + "/record"
	c := idem(t, "/bin/sh", "-c", "trap '' HUP; echo ready; sleep 0.5; seq 20000; echo over")
	c.Env = append(os.Environ(), "PROC_RECORD="+record)
	f, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(f).ReadString('\n'); !strings.HasPrefix(line, "ready") {
		t.Fatalf("got %q, error %v; want ready", line, err)
	}
	f.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(record); !strings.HasSuffix(string(got), "\n20000\nover\n") {
		t.Errorf("recorded %d bytes", len(got))
	}
}

// nohup and `cmd &` ignore signals. They stay ignored, and do not end idem.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	t.Parallel()
	c := sh(t, `trap '' HUP INT; exec $IDEM sh -c 'echo ready; sleep 0.5; echo over; exit 5'`)
	s := startSession(t, false, c)
	s.until("ready")
	s.kill(unix.SIGHUP)
	s.kill(unix.SIGINT)
	s.end()
}
