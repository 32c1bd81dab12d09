package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idem/internal/testkit"
)

// grouped makes idem start its command in a separate group, if possible.
func grouped(c *exec.Cmd, env ...string) *exec.Cmd {
	c.Env = append(append(os.Environ(), "PROC_GROUP=1"), env...)
	return c
}

// groups prints the group of the shell that runs it, the shell's pid, and the pid of
// its parent, which is idem.
const groups = `set -- $(cat /proc/$$/stat); echo "groups $5 $$ $PPID"; exit 5`

// line reads lines until one contains the word, and returns the numbers after it.
func (s *session) line(word string) []int {
	s.t.Helper()
	for {
		text, err := s.out.ReadString('\n')
		if _, rest, found := strings.Cut(text, word+" "); found {
			var numbers []int
			for _, f := range strings.Fields(rest) {
				n, err := strconv.Atoi(f)
				if err != nil {
					s.t.Fatalf("%q: %v", text, err)
				}
				numbers = append(numbers, n)
			}
			return numbers
		}
		if err != nil {
			s.t.Fatalf("waiting for %q: %v", word, err)
		}
	}
}

func TestOwnGroup(t *testing.T) {
	needsProc(t)
	t.Parallel()
	for _, test := range []struct {
		name     string
		tty, own bool
	}{
		{"without a terminal", false, true},
		{"in the foreground", true, false},
	} {
		s := startSession(t, test.tty, grouped(idem(t, "/bin/sh", "-c", groups)))
		g := s.line("groups")
		if group, shell, parent := g[0], g[1], g[2]; (group == shell) != test.own || (group == parent) == test.own {
			t.Errorf("%s: the command %d of %d is in group %d", test.name, shell, parent, group)
		}
		if err := s.cmd.Wait(); exitCode(err) != 5 {
			t.Errorf("%s: idem ended with %v", test.name, err)
		}
	}
	// Without OwnGroup, the command stays in the group of idem.
	s := startSession(t, false, idem(t, "/bin/sh", "-c", groups))
	if g := s.line("groups"); g[0] != g[2] {
		t.Errorf("without OwnGroup, the command %d of %d is in group %d", g[1], g[2], g[0])
	}
}

func needsProc(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc, which the test needs to find descriptors and process groups")
	}
}

// A background job on a terminal does not read from it, so it may have its own group.
func TestOwnGroupOfABackgroundJob(t *testing.T) {
	needsProc(t)
	t.Parallel()
	argv := append(self(t, "leader"), "background")
	argv = append(argv, self(t, "idem")...)
	s := startSession(t, true, grouped(exec.Command(argv[0], append(argv[1:], "/bin/sh", "-c", groups)...)))
	if g := s.line("groups"); g[0] != g[1] {
		t.Errorf("the command %d of %d is in group %d", g[1], g[2], g[0])
	}
}

// children returns a shell that ignores signals, with a child that counts them.
func children(t *testing.T) []string {
	return append([]string{"/bin/sh", "-c", `trap : INT QUIT TERM HUP USR1 USR2; "$@"; exit $?`, "sh"}, self(t, "count")...)
}

func TestSignalsReachAllOfTheGroupOnce(t *testing.T) {
	for _, sig := range usual {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			s := startSession(t, false, grouped(idem(t, children(t)...)))
			s.until("ready")
			s.kill(sig)
			s.end(unix.SignalName(sig))
		})
	}
	// Without a separate group, only the command itself gets the signal.
	t.Run("no group", func(t *testing.T) {
		testkit.Slow(t, "waits 10 s for signals that must not come")
		t.Parallel()
		s := startSession(t, false, idem(t, children(t)...))
		s.until("ready")
		s.kill(unix.SIGUSR1)
		s.kill(unix.SIGUSR2)
		s.end()
	})
}

// In the foreground, the command stays in the group of idem. The terminal's signals
// come once, and the command can read from the terminal without being stopped.
func TestOwnGroupHasNoEffectInTheForeground(t *testing.T) {
	t.Run("a key", func(t *testing.T) {
		t.Parallel()
		s := startSession(t, true, grouped(idem(t, self(t, "count")...)))
		s.until("ready")
		fmt.Fprint(s.in, "\x03")
		s.end("SIGINT")
	})
	t.Run("a signal", func(t *testing.T) {
		t.Parallel()
		s := startSession(t, true, grouped(idem(t, self(t, "count")...)))
		s.until("ready")
		s.kill(unix.SIGTERM)
		s.end("SIGTERM")
	})
	t.Run("reading", func(t *testing.T) {
		t.Parallel()
		s := startSession(t, true, grouped(idem(t, "/bin/sh", "-c", "echo ready; read x; echo \"over, $x\"; exit 5")))
		s.until("ready")
		fmt.Fprint(s.in, "typed\n")
		s.until("over, typed")
		if err := s.cmd.Wait(); exitCode(err) != 5 {
			t.Errorf("idem ended with %v", err)
		}
	})
}

// All processes of the group ignore TERM, so only the KILL ends them.
func TestEndOfTheContextKillsTheGroup(t *testing.T) {
	testkit.Slow(t, "the command runs into its timeout of 3 s")
	needsProc(t)
	t.Parallel()
	const script = `trap "" TERM; sleep 600 & a=$!; sh -c 'sleep 600 & echo $!; wait' >grandchild & b=$!
		while [ ! -s grandchild ]; do sleep 0.01; done
		echo "pids $$ $a $b $(cat grandchild)"; while :; do sleep 0.05; done`
	c := grouped(idem(t, "/bin/sh", "-c", script), "PROC_TIMEOUT=3s")
	c.Dir = t.TempDir()
	s := startSession(t, false, c)
	pids := s.line("pids")
	s.cmd.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGKILL {
		t.Errorf("idem has wait status %#x, want KILL", uint32(ws))
	}
	if len(pids) != 4 {
		t.Fatalf("got pids %v, want 4", pids)
	}
	for _, pid := range pids {
		waitFor(t, fmt.Sprint("the end of ", pid), func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}
