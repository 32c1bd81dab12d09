package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/testkit"
)

func TestReaderThatGoesAwayIsNoError(t *testing.T) {
	t.Parallel()
	c, rec := burst(t, 1<<20)
	var r *os.File
	r, c.Stdout = newPipe(t)
	go func() {
		_, _ = r.Read(make([]byte, 10))
		r.Close()
	}()
	e := run(t, c)
	if errs := e.Flush(); errs != nil || e.ExitCode != 0 {
		t.Errorf("exit status %d, Flush: %v", e.ExitCode, errs)
	}
	same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, 1<<20))
}

// Go treats EPIPE on descriptor 1 specially. The result must be the same as for
// another descriptor.
func TestReaderOfStdoutThatGoesAwayDoesNotEndIdem(t *testing.T) {
	t.Parallel()
	record := t.TempDir() + "/record"
	c := sh(t, `(PROC_RECORD=`+record+` $IDEM sh -c 'seq 100000; exit 3'; echo $? >&2) | head -1`)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil || string(out) != "1\n" || errs.String() != "3\n" {
		t.Errorf("got stdout %q, stderr %q, error %v; want \"1\\n\" and status 3 on stderr", out, errs.String(), err)
	}
	want, _ := exec.Command("seq", "100000").Output()
	got, _ := os.ReadFile(record)
	same(t, "recorded", got, want)
}

func TestFullDiskAtStdout(t *testing.T) {
	t.Parallel()
	c, rec := burst(t, 1<<20)
	var err error
	if c.Stdout, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Skip(err)
	}
	e := run(t, c)
	errs := e.Flush()
	if len(errs) != 1 || !errors.Is(errs[0], unix.ENOSPC) || e.ExitCode != 0 {
		t.Errorf("exit status %d, Flush: %v", e.ExitCode, errs)
	}
	same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, 1<<20))
}

func TestStdoutClosedAtStart(t *testing.T) {
	t.Parallel()
	for _, closed := range []string{">&-", "2>&-", "<&-", "<&- >&- 2>&-"} {
		record := t.TempDir() + "/record"
		out, _ := sh(t, `PROC_RECORD=`+record+` $IDEM sh -c 'echo x; echo y >&2; exit 3' 2>&1 `+closed+`; echo $?`).Output()
		got, _ := os.ReadFile(record)
		if text := string(got); text != "x\ny\n" && text != "y\nx\n" { // the order of the two streams is not defined
			t.Errorf("%s: recorded %q", closed, got)
		}
		if !strings.HasSuffix(string(out), "3\n") {
			t.Errorf("%s: got %q, want exit status 3 at its end", closed, out)
		}
	}
}

// The caller's stdout may be non-blocking. Its flag must not be changed.
func TestNonBlockingStdout(t *testing.T) {
	t.Parallel()
	const n = 2 << 20
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	c := idem(t, append(self(t, "burst"), strconv.Itoa(n))...)
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	defer w.Close()
	c.Stdout = w // before the flag is set, because os/exec would clear it
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	flags, err := unix.FcntlInt(uintptr(fds[1]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags are %#x, error %v", flags, err)
	}
	w.Close()
	same(t, "stdout", readAll(t, r), pattern(Stdout, n))
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBackgroundProcessDoesNotHoldTheRun(t *testing.T) {
	testkit.Slow(t, "it waits for processes that outlive the command")
	t.Parallel()
	late := t.TempDir() + "/late"
	c, rec := command(t, "/bin/sh", "-c", "(sleep 1; echo late; : >"+late+") & sleep 30 & echo $! >&2; echo hi; exit 4")
	begin := time.Now()
	e := run(t, c)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the run took %v", took)
	}
	if got := string(rec.bytes(Stdout)); got != "hi\n" || e.ExitCode != 4 {
		t.Errorf("recorded %q, exit status %d", got, e.ExitCode)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(rec.bytes(Stderr))))
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Errorf("the background process is gone: %v", err)
	}
	// A process that writes later gets SIGPIPE; see the package comment.
	time.Sleep(1500 * time.Millisecond)
	if _, err := os.Stat(late); err == nil {
		t.Error("a late writer was not ended")
	}
}

// Another process that opens /proc/self/fd/1 may take the output that poll reported
// to the pump.
func TestStolenOutputDoesNotHang(t *testing.T) {
	p, err := newPump(&Command{}, &child{})
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(5*time.Second, func() { _, _ = unix.Write(p.out.writeEnd, []byte("x")) })
	if n, open := p.read(p.out, 10, nil); n != 0 || !open {
		t.Errorf("read %d bytes, open %v", n, open)
	}
	timer.Stop()
	p.closeWriteEnds()
	p.close()
	unix.Close(p.wake)
}

func TestOutputArrivesWhileTheCommandRuns(t *testing.T) {
	t.Parallel()
	c, rec := command(t, "/bin/sh", "-c", "printf prompt:; read x; echo $x >&2")
	var r *os.File
	r, c.Stdout = newPipe(t)
	in, feed := newPipe(t)
	c.Stdin = in
	end := make(chan *End)
	go func() { end <- run(t, c) }()
	buf := make([]byte, 100)
	if n, err := r.Read(buf); string(buf[:n]) != "prompt:" {
		t.Errorf("got %q, error %v; want the prompt", buf[:n], err)
	}
	fmt.Fprintln(feed, "answer")
	<-end
	if got := string(rec.bytes(Stderr)); got != "answer\n" {
		t.Errorf("got %q on stderr, want the answer", got)
	}
}
