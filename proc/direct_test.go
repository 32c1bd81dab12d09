package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperDirect runs two commands at once as a batch does, each in a separate process group.
// It prints each signal that it must decide about. The first INT lets the commands go on,
// and the next signals end them. After Close, it starts a third command, which must fail.
func helperDirect(args []string) int {
	var s *Signals
	ready := make(chan struct{})
	ints := 0
	s = Direct(func(sig syscall.Signal, typed bool) {
		<-ready
		fmt.Println("told", unix.SignalName(sig), typed)
		s.Close(sig)
		if ints++; sig != unix.SIGINT || ints > 1 {
			s.Send(unix.SIGTERM)
		}
	})
	close(ready)
	defer s.Stop()
	path, err := LookPath(args[0])
	if err != nil {
		panic(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	run := func() error {
		c := &Command{Path: path, Args: args, Apart: true, Stdin: null, Stdout: os.Stdout, Stderr: os.Stderr}
		end, err := c.Run(context.Background(), s)
		if end != nil {
			end.Flush()
			fmt.Println("ended", end.ExitCode)
		}
		return err
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { _ = run() })
	}
	all.Wait()
	var early *SignalError
	if sig, closed := s.Fatal(); closed {
		fmt.Println("then", errors.As(run(), &early) && early.Signal == sig)
	}
	fmt.Println("over")
	return 5
}

// direct starts helperDirect with a shell script on a terminal, below a shell with job
// control, and waits until both scripts are ready.
func direct(t *testing.T, script string) *session {
	t.Helper()
	// noflsh: a key that sends a signal must not discard output that was not read yet.
	argv := []string{"/bin/sh", "-c", `stty noflsh; exec "$@"`, "sh"}
	argv = append(append(argv, self(t, "leader")...), self(t, "direct")...)
	argv = append(argv, "/bin/sh", "-c", script)
	s := startSession(t, true, exec.Command(argv[0], argv[1:]...))
	s.until("ready")
	s.until("ready")
	return s
}

// lines reads lines until "over" has come so many times, and returns them.
func (s *session) lines(overs int) string {
	s.t.Helper()
	var all []string
	for {
		line, err := s.out.ReadString('\n')
		line = strings.TrimPrefix(strings.TrimSpace(line), "^C")
		all = append(all, line)
		if line == "over" {
			if overs--; overs == 0 {
				return strings.Join(all, "\n")
			}
		}
		if err != nil {
			s.t.Fatalf("got %q, %v", all, err)
		}
	}
}

// No key reaches the commands, and a second one ends them because the caller says so.
func TestDirectKeys(t *testing.T) {
	t.Parallel()
	go1 := t.TempDir() + "/go"
	s := direct(t, `trap 'echo int' INT; echo ready; while [ ! -e `+go1+` ]; do sleep 0.02; done; exit 3`)
	fmt.Fprint(s.in, "\x03")
	s.until("told SIGINT true")
	if err := os.WriteFile(go1, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := s.lines(1), "ended 3\nended 3\nthen true\nover"; got != want {
		t.Errorf("after one key: got %q, want %q", got, want)
	}

	s = direct(t, `exec 2>/dev/null; trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done`)
	fmt.Fprint(s.in, "\x03")
	s.until("told SIGINT true")
	fmt.Fprint(s.in, "\x03")
	s.until("told SIGINT true")
	if got, want := s.lines(1), "ended 4\nended 4\nthen true\nover"; got != want {
		t.Errorf("after two keys: got %q, want %q", got, want)
	}
}

// A signal from kill(2) is not typed. It reaches the children of the commands too.
func TestDirectTerm(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "direct"), "/bin/sh", "-c", `sleep 100 & echo ready; wait; echo not reached`)
	s := startSession(t, false, exec.Command(argv[0], argv[1:]...))
	s.until("ready")
	s.until("ready")
	s.kill(unix.SIGTERM)
	if got, want := s.lines(1), "told SIGTERM false\nended 143\nended 143\nthen true\nover"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Other signals are messages for the commands.
func TestDirectPassesOtherSignalsOn(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "direct"), "/bin/sh", "-c", `exec 2>/dev/null; trap 'exit 6' USR1; echo ready; while :; do sleep 0.02; done`)
	s := startSession(t, false, exec.Command(argv[0], argv[1:]...))
	s.until("ready")
	s.until("ready")
	s.kill(unix.SIGUSR1)
	if got := s.lines(1); !strings.HasPrefix(got, "ended 6\nended 6\n") {
		t.Errorf("got %q", got)
	}
}

// Ctrl-Z stops the commands and this process, and both go on.
func TestDirectCtrlZ(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := direct(t, waitsFor(dir))
	for range 2 { // a second time too
		fmt.Fprint(s.in, "\x1a")
		s.until("stopped by SIGTSTP") // the shell then waits 200 ms before it continues the group
		s.until("went on")
		s.until("went on")
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(1); !strings.HasPrefix(got, "ended 3\nended 3\n") {
		t.Errorf("got %q", got)
	}
}

// Without a shell that could continue idem, the kernel drops TSTP. The commands must not
// stay stopped.
func TestDirectStopWithoutAShell(t *testing.T) {
	needsProc(t)
	t.Parallel()
	dir := t.TempDir()
	argv := append(self(t, "direct"), "/bin/sh", "-c", `>`+dir+`/$$; exec `+strings.Join(self(t, "count"), " "))
	s := startSession(t, false, exec.Command(argv[0], argv[1:]...))
	s.until("ready")
	s.until("ready")
	s.kill(unix.SIGTSTP)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		waitFor(t, "a command to stop", func() bool { return stateOf(t, f.Name()) == "T" })
	}
	for _, f := range files {
		waitFor(t, "a command to go on", func() bool { return stateOf(t, f.Name()) != "T" })
	}
	s.kill(unix.SIGUSR1)
	if got := s.lines(3); strings.Count(got, "ended 5\n") != 2 {
		t.Errorf("got %q", got)
	}
}

// waitsFor is a script that ends when the file go in dir is there.
func waitsFor(dir string) string {
	return `trap 'echo went on' CONT; echo ready; while [ ! -e ` + dir + `/go ]; do sleep 0.02; done; exit 3`
}

// stateOf returns the state of a process, T for a stopped one.
func stateOf(t *testing.T, pid string) string {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return state[:1]
}

// A signal that comes while a command is being started is not lost.
func TestDirectSendToACommandThatIsBeingStarted(t *testing.T) {
	s := Direct(func(syscall.Signal, bool) {})
	defer s.Stop()
	k := &child{ended: make(chan struct{})}
	if err := s.enter(k); err != nil {
		t.Fatal(err)
	}
	s.Send(unix.SIGTERM)
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sleep 100"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		t.Fatal(err)
	}
	k.proc, k.group = newProcess(pid, -1), true
	s.started(k)
	ws, err := k.proc.wait()
	if err != nil || ws.Signal() != unix.SIGTERM {
		t.Errorf("got %v, %v", ws, err)
	}
	s.leave(k)
}

func TestScarce(t *testing.T) {
	t.Parallel()
	c, _ := command(t, "/bin/true")
	c.Args = append(c.Args, strings.Repeat("x", 1<<20))
	if _, err := c.Run(t.Context(), nil); !TooLong(err) || Scarce(err) {
		t.Errorf("a long argument: %v", err)
	}
	for name, want := range map[string]string{
		// 34 have no room for two, however few descriptors the test inherits.
		`ulimit -n 34; exec $IDEM`: "room 1",
		`exec $IDEM`:               "room 4",
	} {
		out, err := roomOf(t, name)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %q, %v; want %q", name, out, err, want)
		}
	}
}

func roomOf(t *testing.T, script string) (string, error) {
	c := exec.Command("/bin/sh", "-c", script)
	c.Env = append(os.Environ(), "IDEM="+strings.Join(self(t, "room"), " "))
	c.WaitDelay = 10 * time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// helperRoom prints how many of four commands it can run at once.
func helperRoom([]string) int {
	if err := Ready(false); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("room", Room(4, 1))
	return 0
}
