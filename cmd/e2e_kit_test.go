// The e2e tests run the released binary as users do: as processes that are
// killed, stopped and put on terminals. A test is here if a script of
// testdata/script cannot ask its question. Such questions are about signals and
// kills at a chosen moment, terminals, full disks, other users, damaged ledgers
// and many callers at once.
package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger/drivers"
)

// hangTimeout bounds every wait. It ends a hang and measures nothing.
const hangTimeout = 60 * time.Second

// binary returns the directory of the idem under test, which is built once with
// the flags of a release. With the build tag postgres, idem-postgres is next to it. A child process removes it when this process has
// ended for any reason.
var binary = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "idem-e2e-")
	if err != nil {
		panic(err)
	}
	rest, alive, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	janitor := exec.Command("sh", "-c", `trap "" INT TERM HUP; read _; rm -rf "$1"`, "sh", dir)
	janitor.Stdin = rest
	janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := janitor.Start(); err != nil {
		panic(err)
	}
	keep = alive
	// The tests of other users run the binary too.
	if err := os.Chmod(dir, 0o755); err != nil {
		panic(err)
	}
	flags := "-ldflags="
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		flags += "-E=idem_start" // see README.md
	}
	builds := [][]string{{"-o", filepath.Join(dir, "idem")}}
	if drivers.Shared { // the tests have the tag postgres
		builds = append(builds, []string{"-tags=postgres,failpoint", "-o", filepath.Join(dir, "idem-postgres")})
	}
	for _, args := range builds {
		build := exec.Command("go", append(append([]string{"build", flags}, args...), "idem")...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("go build: %v\n%s", err, out))
		}
	}
	return dir
})

var keep *os.File // open until this process ends

// skipMissing skips a test that this machine cannot run.
func skipMissing(t *testing.T, what string) {
	t.Helper()
	testkit.Missing(t, what)
}

func testMust(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skipMissing(t, name)
	}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		skipMissing(t, "root")
	}
}

// box is the fixture of one test. It has a working directory, a ledger that
// does not exist yet, and a marked environment by which all its processes can
// be found.
type box struct {
	t      *testing.T
	dir    string // working directory of the commands
	ledger string
	env    []string
	user   *syscall.Credential // the user of all processes; nil is the user of the tests
}

var boxes atomic.Int64

func newBox(t *testing.T) *box {
	t.Helper()
	testkit.Slow(t, "e2e tests run the released binary, each call a process")
	b := &box{t: t, dir: t.TempDir()}
	b.ledger = filepath.Join(b.dir, "ledger")
	mark := fmt.Sprintf("IDEM_E2E=%d-%d", os.Getpid(), boxes.Add(1))
	b.env = []string{
		"PATH=" + binary() + ":" + os.Getenv("PATH"), "HOME=" + b.dir, "LC_ALL=C", "TERM=dumb", "HISTFILE=",
		"IDEM_LEDGER=" + b.ledger, mark,
	}
	t.Cleanup(func() { killMarked(mark) })
	return b
}

// killMarked kills all processes that have mark in their environment, also
// those that left their group, session or parent.
func killMarked(mark string) {
	for range 100 {
		found := false
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			env, err := os.ReadFile(filepath.Join(dir, "environ"))
			if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(dir))
			found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
		}
		if !found {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// call is a process that was started. Its output goes to files, so a leftover
// process that holds them does not block the test.
type call struct {
	b        *box
	cmd      *exec.Cmd
	out, err string
	ended    chan struct{}
}

// result is how a call ended.
type result struct {
	code     int // as a shell reports it
	sig      syscall.Signal
	out, err string
}

// idem starts idem in a new session, so the terminal of the tests does not
// affect it.
func (b *box) idem(args ...string) *call {
	b.t.Helper()
	return b.start(append([]string{"idem"}, args...))
}

// start starts a program in a new session. opts change the command before the
// start.
func (b *box) start(argv []string, opts ...func(*exec.Cmd)) *call {
	b.t.Helper()
	c := &call{b: b, ended: make(chan struct{})}
	path := argv[0]
	if path == "idem" {
		path = filepath.Join(binary(), "idem")
	}
	c.cmd = exec.Command(path, argv[1:]...)
	c.cmd.Args[0] = argv[0]
	c.cmd.Dir, c.cmd.Env = b.dir, b.env
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: b.user}
	for _, s := range []struct {
		to   *io.Writer
		name *string
	}{{&c.cmd.Stdout, &c.out}, {&c.cmd.Stderr, &c.err}} {
		f, err := os.CreateTemp(b.dir, ".call-")
		if err != nil {
			b.t.Fatal(err)
		}
		defer f.Close()
		*s.to, *s.name = f, f.Name()
	}
	for _, o := range opts {
		o(c.cmd)
	}
	if err := c.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // its error is in the state
		close(c.ended)
	}()
	return c
}

func stdout(f *os.File) func(*exec.Cmd) { return func(c *exec.Cmd) { c.Stdout = f } }

// run runs idem to its end.
func (b *box) run(args ...string) result {
	b.t.Helper()
	return b.idem(args...).wait()
}

// sh runs a bash script to its end.
func (b *box) sh(script string) result {
	b.t.Helper()
	return b.start([]string{"bash", "-c", script}).wait()
}

func (c *call) pid() int { return c.cmd.Process.Pid }

func (c *call) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

func (c *call) kill(sig syscall.Signal) {
	c.b.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.b.t.Fatal(err)
	}
}

// killAll kills the call and its command at once and waits until both are gone.
func (c *call) killAll() {
	c.b.t.Helper()
	group := c.pid()
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		c.b.t.Fatal(err)
	}
	c.wait()
	c.b.waitUntil(fmt.Sprintf("process group %d ends", group), func() bool { return !groupAlive(group) })
}

func (c *call) wait() result {
	c.b.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(2 * hangTimeout):
		c.b.t.Fatalf("%q: got a running call, want it to end; stderr:\n%s", c.cmd.Args, c.b.read(c.err))
	}
	r := result{out: c.b.read(c.out), err: c.b.read(c.err)}
	ws := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	r.code = ws.ExitStatus()
	if ws.Signaled() {
		r.sig = ws.Signal()
		r.code = 128 + int(r.sig)
	}
	for _, bad := range []string{"goroutine ", "panic:", "SQLITE_", "WARNING: DATA RACE"} {
		if strings.Contains(r.err, bad) {
			c.b.t.Errorf("%q: got stderr with %q, want none of it:\n%s", c.cmd.Args, bad, r.err)
		}
	}
	if fault := messageFault(r.err, anyLength); fault != "" {
		c.b.t.Errorf("%q: %s", c.cmd.Args, fault)
	}
	return r
}
