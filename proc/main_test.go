package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var helpers = map[string]func([]string) int{
	"idem": helperIdem, "burst": helperBurst, "count": helperCount,
	"leader": helperLeader, "die": helperDie, "stopped": helperStopped, "direct": helperDirect, "room": helperRoom,
}

// TestMain runs the tests, or a program that the tests need. PROC_HELPER names that
// program.
func TestMain(m *testing.M) {
	if sig, _ := strconv.Atoi(os.Getenv("PROC_LEADER_DIES")); sig != 0 && len(os.Args) > 1 && os.Args[1] == leaderWord {
		_ = unix.Kill(os.Getpid(), syscall.Signal(sig))
	}
	if status, asked := Helper(os.Args[1:]); asked {
		os.Exit(status)
	}
	mode := os.Getenv("PROC_HELPER")
	if mode == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv("PROC_HELPER")
	os.Exit(helpers[mode](os.Args[1:]))
}

// helperIdem is the least that idem does around Run. These variables change it:
//
//   - PROC_RECORD: file to record to
//   - PROC_INHERIT: file for the command to inherit
//   - PROC_HEAP: file for the number of bytes of memory used
//   - PROC_GROUP: start the command in a separate group
//   - PROC_TIMEOUT: when to send TERM to the command; KILL follows soon after
func helperIdem(args []string) int {
	s := Catch()
	ctx := context.Background()
	c := &Command{Args: args, Stdout: os.Stdout, Stderr: os.Stderr, Backlog: tempFile(os.TempDir())}
	if name := os.Getenv("PROC_RECORD"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			panic(err)
		}
		c.Record = func(_ Stream, p []byte) { _, _ = f.Write(p) }
	}
	if name := os.Getenv("PROC_INHERIT"); name != "" {
		f, err := os.Open(name)
		if err != nil {
			panic(err)
		}
		c.Inherit = []*os.File{f}
	}
	c.OwnGroup = os.Getenv("PROC_GROUP") != ""
	if d, err := time.ParseDuration(os.Getenv("PROC_TIMEOUT")); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
		c.KillAfter = 100 * time.Millisecond
	}
	heap := os.Getenv("PROC_HEAP")
	for _, name := range []string{"PROC_RECORD", "PROC_INHERIT", "PROC_HEAP", "PROC_GROUP", "PROC_TIMEOUT"} {
		os.Unsetenv(name)
	}
	var err error
	var start *StartError
	if c.Path, err = LookPath(args[0]); errors.As(err, &start) {
		fmt.Fprintln(os.Stderr, err)
		return start.Code
	}
	end, err := c.Run(ctx, s)
	switch {
	case errors.As(err, &start):
		fmt.Fprintln(os.Stderr, err)
		return start.Code
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	for _, err := range end.Flush() {
		fmt.Fprintln(os.Stderr, "flush:", err)
	}
	if heap != "" {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if err := os.WriteFile(heap, []byte(strconv.FormatUint(m.HeapSys, 10)), 0o600); err != nil {
			panic(err)
		}
	}
	s.Stop()
	if end.Signal != 0 {
		DieOf(end.Signal, false)
	}
	return end.ExitCode
}

// helperBurst writes n bytes of a known pattern to each stream.
func helperBurst(args []string) int {
	n, _ := strconv.Atoi(args[0])
	out, err := pattern(Stdout, n), pattern(Stderr, n)
	for at := 0; at < n; {
		to := min(at+100_000, n)
		_, _ = os.Stdout.Write(out[at:to]) // a test may close the pipe
		_, _ = os.Stderr.Write(err[at:to])
		at = to
	}
	return 0
}

func pattern(stream Stream, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((i + i>>8 + i>>16) * (1 + 2*stream) % 251)
	}
	return p
}

// helperCount prints "ready" and then every signal it gets. It ends when no signal
// has come for a while. With "setpgid" it first leaves its group.
func helperCount(args []string) int {
	if len(args) > 0 && args[0] == "setpgid" {
		if err := unix.Setpgid(0, 0); err != nil {
			panic(err)
		}
	}
	ch := make(chan os.Signal, 16)
	for _, sig := range usual {
		signal.Notify(ch, sig)
	}
	fmt.Println("ready")
	wait := 10 * time.Second
	for {
		select {
		case sig := <-ch:
			fmt.Println("got", unix.SignalName(sig.(syscall.Signal)))
			wait = 400 * time.Millisecond // long enough for a second one to be noticed
		case <-time.After(wait):
			fmt.Println("over")
			return 5
		}
	}
}

// helperDie ends itself by the signal.
func helperDie(args []string) int {
	n, _ := strconv.Atoi(args[0])
	DieOf(syscall.Signal(n), false)
	return 99
}

// self returns the words that run this binary as a helper, for a shell or for argv.
func self(t testing.TB, mode string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/env", "PROC_HELPER=" + mode, exe}
}

// idem returns a command that runs args as idem would.
func idem(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	argv := append(self(t, "idem"), args...)
	return exec.Command(argv[0], argv[1:]...)
}

// sh returns a shell command in whose script $IDEM runs helperIdem.
func sh(t testing.TB, script string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", script)
	c.Env = append(os.Environ(), "IDEM="+strings.Join(self(t, "idem"), " "))
	return c
}

// tempFile returns a function for Command.Backlog that makes a file in dir.
func tempFile(dir string) func() (Backlog, error) {
	return func() (Backlog, error) {
		f, err := os.CreateTemp(dir, "backlog")
		if err == nil {
			err = os.Remove(f.Name())
		}
		return f, err
	}
}

// recorder stores the output of a command.
type recorder struct {
	mu   sync.Mutex
	data [3]bytes.Buffer
	busy bool
	over bool
}

func (r *recorder) record(stream Stream, p []byte) {
	r.mu.Lock()
	if r.busy || r.over {
		panic("Record was called by two goroutines, or after Run")
	}
	r.busy = true
	r.data[stream].Write(p)
	r.mu.Unlock()
	r.mu.Lock()
	r.busy = false
	r.mu.Unlock()
}

func (r *recorder) bytes(stream Stream) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.data[stream].Bytes())
}

// command returns a command whose output is only recorded.
func command(t testing.TB, args ...string) (*Command, *recorder) {
	t.Helper()
	path, err := LookPath(args[0])
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	return &Command{Path: path, Args: args, Record: r.record, Backlog: tempFile(t.TempDir())}, r
}

// run runs a command. The test fails if Run returns an error.
func run(t testing.TB, c *Command) *End {
	t.Helper()
	e, err := c.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// A copy of live output that the test does not wait for may still write to the number
	// of w, which would be that of another test's pipe. So only the collector closes w.
	t.Cleanup(func() { r.Close() })
	return r, w
}

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// waitFor waits until the condition holds. The test fails after 20 s.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; they differ from %d on", what, len(got), len(want), at)
}

func write(t testing.TB, name, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return file
}
