package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

func init() {
	helpers["idle"], helpers["fault"], helpers["become"], helpers["started"] = helperIdle, helperFault, helperBecome, helperStarted
}

// lethal returns the signals that end a process by default.
func lethal() (all []syscall.Signal) {
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGKILL:
		case 32, 33: // used by glibc, if idem is linked to it
		default:
			if ends(n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// helperIdle sleeps and catches no signal.
func helperIdle([]string) int {
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return 98
}

// helperFault causes a fault of the program.
func helperFault([]string) int {
	var p *int
	return *p
}

// helperBecome replaces itself by a command.
func helperBecome(args []string) int {
	fmt.Fprintln(os.Stderr, Become(args[0], args, false))
	return 97
}

// startOutput starts a program and returns a reader for its output.
func startOutput(t *testing.T, c *exec.Cmd) *bufio.Reader {
	t.Helper()
	r, w := newPipe(t)
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { c.Process.Kill() })
	return bufio.NewReader(r)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("got %q, error %v; want a line", line, err)
	}
	return strings.TrimSpace(line)
}

func wantDeath(t *testing.T, c *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != sig {
		t.Errorf("signal %d: status %#x", int(sig), uint32(ws))
	}
}

func helperCmd(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	argv := append(self(t, mode), args...)
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = append(os.Environ(), "GOTRACEBACK=none")
	return c
}

func TestSignalsThatNobodyCatchesDoTheirDefault(t *testing.T) {
	t.Parallel()
	for _, sig := range lethal() {
		c := helperCmd(t, "idle", "x")
		var stderr strings.Builder
		c.Stderr = &stderr
		readLine(t, startOutput(t, c))
		syscall.Kill(c.Process.Pid, unix.SIGWINCH)
		syscall.Kill(c.Process.Pid, unix.SIGCHLD)
		syscall.Kill(c.Process.Pid, unix.SIGURG)
		syscall.Kill(c.Process.Pid, sig)
		wantDeath(t, c, sig)
		if stderr.Len() > 0 {
			t.Errorf("signal %d: stderr is %s", int(sig), stderr.String())
		}
	}
}

// A command with the default dispositions dies of every signal. idem dies of it too.
func TestEverySignalReachesTheCommand(t *testing.T) {
	t.Parallel()
	for _, sig := range lethal() {
		c := idem(t, "/bin/sh", "-c", "echo ready; exec sleep 300")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out := startOutput(t, c)
		readLine(t, out)
		syscall.Kill(c.Process.Pid, sig)
		if _, err := io.ReadAll(out); err != nil {
			t.Error(err)
		}
		wantDeath(t, c, sig)
	}
}

func TestValueOfAQueuedSignalReachesTheCommand(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3, which the test needs to print a signal's value")
	}
	c := idem(t, python, "-c", `
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
print("ready", flush=True)
for _ in range(3): print(signal.sigwaitinfo([signal.SIGRTMIN]).si_code, flush=True)`)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out := startOutput(t, c)
	readLine(t, out)
	for range 3 {
		info := rawsig.Info{Signo: 34, Code: siQueue}
		if _, _, errno := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(c.Process.Pid), 34, uintptr(unsafe.Pointer(&info))); errno != 0 {
			t.Fatal(errno)
		}
	}
	for range 3 {
		if got := readLine(t, out); got != "-1" {
			t.Errorf("the command got a signal with code %s, want -1", got)
		}
	}
	c.Wait()
}

// helperStarted executes a command with some signals ignored and some blocked. Its
// arguments are IGNORED BLOCKED PROGRAM ARG...
func helperStarted(args []string) int {
	var masks [2]rawsig.Set
	for i := range masks {
		n, err := strconv.ParseUint(args[i], 16, 64)
		if err != nil {
			panic(err)
		}
		masks[i] = rawsig.Set(n)
	}
	for n := 1; n <= 64; n++ {
		if masks[0].Has(n) {
			ign := [16]uint64{1}
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&ign)), 0, 8, 0, 0)
		}
	}
	runtime.LockOSThread()
	var mask unix.Sigset_t
	mask.Val[0] = uint64(masks[1])
	err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil)
	if err == nil {
		err = syscall.Exec(args[2], args[2:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	return 96
}

// runWith runs a program with some signals ignored and some blocked, and returns its
// output.
func runWith(t *testing.T, ignored, blocked rawsig.Set, argv []string) string {
	t.Helper()
	c := helperCmd(t, "started", append([]string{fmt.Sprintf("%x", uint64(ignored)), fmt.Sprintf("%x", uint64(blocked))}, argv...)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Error(err)
	}
	return string(out)
}

// neverIgnored are the signals that are not ignored in a command even if the caller
// ignores them. The runtime has handlers for them, or could not wait for the command.
const neverIgnored = rawsig.Set(1<<(unix.SIGBUS-1) | 1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGURG-1) | 1<<(unix.SIGCHLD-1))

func TestIgnoredAndBlockedSignalsAreTheCommands(t *testing.T) {
	needsProc(t)
	t.Parallel()
	show := []string{"/bin/grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"}
	all := ^rawsig.SetOf(32, 33) // used by glibc, if idem is linked to it
	for _, ignored := range []rawsig.Set{rawsig.SetOf(1), rawsig.SetOf(2, 3, 15), rawsig.SetOf(10, 13, 14, 25, 27, 40), rawsig.SetOf(6, 64), all} {
		for _, blocked := range []rawsig.Set{0, rawsig.SetOf(1, 2, 3, 15), rawsig.SetOf(10, 13, 17, 27, 40), all} {
			for _, mode := range []string{"idem", "become"} {
				kept := ignored
				if mode == "idem" {
					kept &^= neverIgnored
				}
				want := runWith(t, kept, blocked, show)
				if n := strings.Count(want, "\n"); n != 2 {
					t.Fatalf("without idem: got %q, want two lines", want)
				}
				if got := runWith(t, ignored, blocked, append(self(t, mode), show...)); got != want {
					t.Errorf("%s, ignored %x, blocked %x:\n%swant\n%s", mode, uint64(ignored), uint64(blocked), got, want)
				}
			}
		}
	}
}

// If the caller has blocked a signal, it is pending in the command. It may come
// before or after the start.
func TestBlockedSignalIsPending(t *testing.T) {
	needsProc(t)
	t.Parallel()
	kill := `kill -TERM $PPID; kill -USR1 $PPID; n=0
		until grep -q 'ShdPnd:.*4200' /proc/$$/status || [ $((n += 1)) = 500 ]; do sleep 0.02; done; grep -c 'ShdPnd:.*4200' /proc/$$/status`
	if got := runWith(t, 0, rawsig.SetOf(10, 15), append(self(t, "idem"), "/bin/bash", "-c", kill)); got != "1\n" {
		t.Errorf("pending in the command: %q", got)
	}
}

// A fault of the program itself is still reported.
func TestFaultIsReported(t *testing.T) {
	t.Parallel()
	c := helperCmd(t, "fault", "x")
	out, err := c.CombinedOutput()
	var e *exec.ExitError
	if !errors.As(err, &e) || !strings.Contains(string(out), "nil pointer dereference") || e.ExitCode() == 2 {
		t.Errorf("got error %v, want an exit status other than 2 and a nil pointer dereference in\n%s", err, out)
	}
}

// PIPE from a write of idem is an error. PIPE from another process is for the
// command. No process that idem starts ignores PIPE.
func TestPipe(t *testing.T) {
	needsProc(t)
	t.Parallel()
	c := idem(t, "/bin/sh", "-c", "echo ready; exec sleep 300")
	out := startOutput(t, c)
	readLine(t, out)
	syscall.Kill(c.Process.Pid, unix.SIGPIPE)
	wantDeath(t, c, unix.SIGPIPE)

	b, err := exec.Command("/bin/sh", "-c", strings.Join(self(t, "idem"), " ")+` /bin/sh -c 'yes | head -1 >/dev/null; i=0; while [ $((i += 1)) -lt 2000 ]; do echo line; done; grep SigIgn /proc/self/status >&2' | head -1`).CombinedOutput()
	fields := strings.Fields(string(b))
	if err != nil || len(fields) != 3 || !slices.Contains(fields, "SigIgn:") {
		t.Fatalf("got %q, error %v; want SigIgn and its value among three words", b, err)
	}
	at := slices.Index(fields, "SigIgn:")
	if mask, err := strconv.ParseUint(fields[at+1], 16, 64); err != nil || rawsig.Set(mask).Has(int(unix.SIGPIPE)) {
		t.Errorf("got %q, want a mask without SIGPIPE", b)
	}
}

// If a standard descriptor is closed, no file of idem gets its number, and a program that idem
// becomes does not have it either.
func TestClosedDescriptors(t *testing.T) {
	needsProc(t)
	t.Parallel()
	b, err := exec.Command("/bin/sh", "-c", strings.Join(self(t, "become"), " ")+` /bin/sh -c 'for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] || echo no $fd; done' <&- 2>&-`).CombinedOutput()
	if want := "no 0\nno 2\n"; err != nil || string(b) != want {
		t.Errorf("got %q, error %v; want %q", b, err, want)
	}
}

// A signal is not lost if it comes while the pipe is full of other signals.
func TestSignalInAFloodOfOthers(t *testing.T) {
	if !rawsig.Supported {
		return
	}
	const flood = 40 // a real-time signal
	got := make(chan syscall.Signal, 2*full)
	l := &listener{want: rawsig.SetOf(flood, int(unix.SIGUSR2), int(unix.SIGVTALRM)), take: func(a arrival) { got <- a.sig }}
	listen(l)
	defer unlisten(l)
	signals.mu.Lock() // delay the reader
	for range full + 100 {
		if err := unix.Kill(os.Getpid(), flood); err != nil {
			t.Error(err)
		}
	}
	for _, sig := range []syscall.Signal{unix.SIGUSR2, unix.SIGVTALRM} {
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			t.Error(err)
		}
	}
	signals.mu.Unlock()
	for seen := map[syscall.Signal]bool{}; !seen[unix.SIGUSR2] || !seen[unix.SIGVTALRM]; {
		select {
		case sig := <-got:
			seen[sig] = true
		case <-time.After(time.Minute):
			t.Fatalf("only these signals came: %v", seen)
		}
	}
}
