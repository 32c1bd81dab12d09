package proc

import (
	"bufio"
	"errors"
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

// session is idem running the counting helper.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer // a terminal's keyboard
	out *bufio.Reader
	got []string
}

// counting starts idem in a session of its own, on a terminal or without one.
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

// end checks what the command got, and that idem ended with its status.
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
	for _, sig := range caught[:6] {
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

// The calling shell must see a death by INT, or its loop goes on.
func TestCtrlCEndsTheCallersLoop(t *testing.T) {
	t.Parallel()
	c := exec.Command("/bin/bash", "-c", `for i in 1 2 3; do `+strings.Join(self(t, "idem"), " ")+` sh -c 'echo ready; sleep 20'; echo over; done; echo over`)
	s := startSession(t, true, c)
	s.until("ready")
	fmt.Fprint(s.in, "\x03")
	rest, _ := io.ReadAll(s.out)
	if strings.Contains(string(rest), "over") {
		t.Errorf("it went on: %q", rest)
	}
	c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGINT {
		t.Errorf("status %#x", uint32(ws))
	}
}

// helperLeader is a shell with job control: it runs idem in a foreground group,
// reports when that is stopped, and continues it.
func helperLeader(args []string) int {
	c := exec.Command(args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true}
	if err := c.Start(); err != nil {
		panic(err)
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
	fmt.Fprint(s.in, "\x03") // it runs again, and gets what the terminal sends
	s.end("SIGINT")
}

// A terminal that goes away takes its reader with it, not the record.
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
		t.Fatalf("%q, %v", line, err)
	}
	f.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(record); !strings.HasSuffix(string(got), "\n20000\nover\n") {
		t.Errorf("recorded %d bytes", len(got))
	}
}

// nohup and `cmd &` ignore signals; they stay ignored, and idem lives on.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	t.Parallel()
	c := sh(t, `trap '' HUP INT; exec $IDEM sh -c 'echo ready; sleep 0.5; echo over; exit 5'`)
	s := startSession(t, false, c)
	s.until("ready")
	s.kill(unix.SIGHUP)
	s.kill(unix.SIGINT)
	s.end()
}

func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func TestSignalBeforeTheStart(t *testing.T) {
	s := Catch()
	defer s.Stop()
	raise(t, unix.SIGUSR1)
	raise(t, unix.SIGPIPE)
	raise(t, unix.SIGHUP)
	<-s.Done()
	if sig, ok := s.Fatal(); !ok || sig != unix.SIGHUP {
		t.Errorf("Fatal: %v, %v", sig, ok)
	}
	c, _ := command(t, "/bin/sh", "-c", "echo x")
	c.Record = func(Stream, []byte) { t.Error("it ran") }
	e, err := c.Run(t.Context(), s)
	var early *SignalError
	if e != nil || !errors.As(err, &early) || early.Signal != unix.SIGHUP {
		t.Errorf("%v, %v", e, err)
	}
}

func TestSignalDuringARunIsTheCommands(t *testing.T) {
	s := Catch()
	defer s.Stop()
	c, rec := command(t, "/bin/sh", "-c", "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
	go func() {
		waitFor(t, "the command", func() bool { return len(rec.bytes(Stdout)) > 0 })
		raise(t, unix.SIGTERM)
	}()
	e, err := c.Run(t.Context(), s)
	if err != nil || e.ExitCode != 3 {
		t.Errorf("%+v, %v", e, err)
	}
	if sig, ok := s.Fatal(); ok {
		t.Errorf("Fatal: %v", sig)
	}
	if sig, ok := s.Seen(); !ok || sig != unix.SIGTERM {
		t.Errorf("Seen: %v, %v", sig, ok)
	}
	// Afterwards it is idem's again, and ends the wait for a reader.
	raise(t, unix.SIGTERM)
	<-s.Done()
}

func TestSignalEndsFlush(t *testing.T) {
	s := Catch()
	defer s.Stop()
	c, _ := command(t, "head", "-c", "1000000", "/dev/zero")
	_, c.Stdout = newPipe(t) // nobody reads
	e, err := c.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { raise(t, unix.SIGTERM) })
	e.Flush()
	if _, ok := s.Fatal(); !ok {
		t.Error("Flush did not wait")
	}
}

// A signal between the decision to start and the start goes to the command, or
// to idem if there is none in the end.
func TestSignalDuringTheStart(t *testing.T) {
	s := Catch()
	defer s.Stop()
	k := &child{}
	if err := s.enter(k); err != nil {
		t.Fatal(err)
	}
	s.handle(unix.SIGINT)
	if _, ok := s.Fatal(); ok {
		t.Error("it is the command's so far")
	}
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	k.proc = c.Process
	s.started(k)
	c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGINT {
		t.Errorf("status %#x", uint32(ws))
	}
	s.leave(k)

	k = &child{}
	if err := s.enter(k); err != nil {
		t.Fatal(err)
	}
	s.handle(unix.SIGQUIT)
	s.leave(k) // could not be started
	if sig, ok := s.Fatal(); !ok || sig != unix.SIGQUIT {
		t.Errorf("Fatal: %v, %v", sig, ok)
	}
}

// After Stop a signal does what it did before: here, end the process.
func TestStopGivesDispositionsBack(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "stopped"), "x")
	err := exec.Command(argv[0], argv[1:]...).Run()
	var e *exec.ExitError
	if !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("%v", err)
	}
}

func helperStopped([]string) int {
	s := Catch()
	s.Stop()
	s.Stop()
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	time.Sleep(10 * time.Second)
	return 99
}
