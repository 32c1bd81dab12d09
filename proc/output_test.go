package proc

import (
	"bufio"
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
)

func burst(t *testing.T, n int) (*Command, *recorder) {
	return command(t, append(self(t, "burst"), strconv.Itoa(n))...)
}

func TestOutputIsExactForASlowReader(t *testing.T) {
	for _, n := range []int{10, 64 << 10, 1 << 20, 8 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			c, rec := burst(t, n)
			var read [2]chan []byte
			var r [2]*os.File
			r[0], c.Stdout = newPipe(t)
			r[1], c.Stderr = newPipe(t)
			for i := range read {
				read[i] = make(chan []byte, 1)
				go func() {
					time.Sleep(time.Second)
					read[i] <- readAll(t, r[i])
				}()
			}
			e := run(t, c)
			rec.over = true
			for _, s := range []Stream{Stdout, Stderr} {
				same(t, "recorded", rec.bytes(s), pattern(s, n))
			}
			if errs := e.Flush(); errs != nil {
				t.Errorf("Flush: %v", errs)
			}
			c.Stdout.Close()
			c.Stderr.Close()
			same(t, "stdout", <-read[0], pattern(Stdout, n))
			same(t, "stderr", <-read[1], pattern(Stderr, n))
		})
	}
}

// A reader that stops for ever must not keep the command from its end, nor may
// what it does not take fill the memory.
func TestPausedReaderDoesNotHoldTheCommand(t *testing.T) {
	heap, ended := t.TempDir()+"/heap", t.TempDir()+"/ended"
	c := idem(t, "/bin/sh", "-c", `head -c 52428800 /dev/zero; : >`+ended)
	c.Env = append(os.Environ(), "PROC_HEAP="+heap)
	r, w := newPipe(t)
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	waitFor(t, "the command's end", func() bool { _, err := os.Stat(ended); return err == nil })
	if got := len(readAll(t, r)); got != 50<<20 {
		t.Errorf("the reader got %d bytes", got)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(heap)
	if used, _ := strconv.Atoi(string(text)); used == 0 || used > 24<<20 {
		t.Errorf("%s bytes of memory were used", text)
	}
}

func TestBacklogIsGivenBackWhenTheReaderCatchesUp(t *testing.T) {
	t.Parallel()
	const n = 8 << 20
	c, rec := command(t, "/bin/sh", "-c", "head -c 8388608 /dev/zero; read x; echo one; read x; head -c 8388608 /dev/zero; echo two")
	var r *os.File
	var backlog *os.File
	r, c.Stdout = newPipe(t)
	in, feed := newPipe(t)
	c.Stdin = in
	makeLog := c.Backlog
	c.Backlog = func() (*os.File, error) {
		if backlog != nil {
			t.Error("a second backlog was asked for")
		}
		f, err := makeLog()
		backlog = f
		return f, err
	}
	size := func() int64 {
		st, err := backlog.Stat()
		if err != nil {
			t.Error(err)
		}
		return st.Size()
	}
	end := make(chan *End)
	go func() { end <- run(t, c) }()
	waitFor(t, "the first part", func() bool { return len(rec.bytes(Stdout)) == n })
	if size() < n/2 {
		t.Errorf("the backlog has %d bytes", size())
	}
	br := bufio.NewReaderSize(r, 4096)
	skip := func() {
		if _, err := br.Discard(n); err != nil {
			t.Error(err)
		}
	}
	line := func(want string) {
		t.Helper()
		if s, _ := br.ReadString('\n'); s != want {
			t.Errorf("read %q, want %q", s, want)
		}
	}
	skip()
	time.Sleep(100 * time.Millisecond) // until the last write has been noticed
	fmt.Fprintln(feed)
	line("one\n")
	if size() != 0 {
		t.Errorf("the backlog still has %d bytes", size())
	}
	fmt.Fprintln(feed) // and once more
	e := <-end
	skip()
	line("two\n")
	if errs := e.Flush(); errs != nil {
		t.Error(errs)
	}
}

func TestWithoutBacklogTheReaderSetsThePace(t *testing.T) {
	const n = 8 << 20
	for name, makeLog := range map[string]func() (*os.File, error){
		"none":   nil,
		"failed": func() (*os.File, error) { return nil, errors.New("no") },
		"full":   func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, rec := burst(t, n)
			c.Backlog = makeLog
			var r *os.File
			r, c.Stdout = newPipe(t)
			end := make(chan *End)
			go func() { end <- run(t, c) }()
			select {
			case <-end:
				t.Fatal("8 MiB went nowhere")
			case <-time.After(300 * time.Millisecond):
			}
			read := make(chan []byte)
			go func() { read <- readAll(t, r) }()
			e := <-end
			same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, n))
			same(t, "recorded", rec.bytes(Stderr), pattern(Stderr, n))
			if errs := e.Flush(); errs != nil {
				t.Error(errs)
			}
			c.Stdout.Close()
			same(t, "stdout", <-read, pattern(Stdout, n))
		})
	}
}

// What a command could leave in the pipes without idem it can leave with idem.
func TestEndedCommandNeverWaitsForTheReader(t *testing.T) {
	t.Parallel()
	const n = 1900 << 10
	c, rec := command(t, append(self(t, "burst"), strconv.Itoa(n))...)
	c.Backlog = nil
	var r *os.File
	r, c.Stdout = newPipe(t)
	e := run(t, c)
	same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, n))
	read := make(chan []byte)
	go func() { read <- readAll(t, r) }()
	if errs := e.Flush(); errs != nil {
		t.Error(errs)
	}
	c.Stdout.Close()
	same(t, "stdout", <-read, pattern(Stdout, n))
}

func TestReaderThatGoesAwayIsNoError(t *testing.T) {
	t.Parallel()
	c, rec := burst(t, 1<<20)
	var r *os.File
	r, c.Stdout = newPipe(t)
	go func() {
		r.Read(make([]byte, 10))
		r.Close()
	}()
	e := run(t, c)
	if errs := e.Flush(); errs != nil || e.ExitCode != 0 {
		t.Errorf("exit status %d, %v", e.ExitCode, errs)
	}
	same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, 1<<20))
}

// The same with descriptor 1, whose EPIPE Go treats specially.
func TestReaderOfStdoutThatGoesAwayDoesNotEndIdem(t *testing.T) {
	t.Parallel()
	record := t.TempDir() + "/record"
	c := sh(t, `(PROC_RECORD=`+record+` $IDEM sh -c 'seq 100000; exit 3'; echo $? >&2) | head -1`)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil || string(out) != "1\n" || errs.String() != "3\n" {
		t.Errorf("%q, %q, %v", out, errs.String(), err)
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
		t.Errorf("exit status %d, %v", e.ExitCode, errs)
	}
	same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, 1<<20))
}

func TestStdoutClosedAtStart(t *testing.T) {
	t.Parallel()
	for _, closed := range []string{">&-", "2>&-", "<&-", "<&- >&- 2>&-"} {
		record := t.TempDir() + "/record"
		out, _ := sh(t, `PROC_RECORD=`+record+` $IDEM sh -c 'echo x; echo y >&2; exit 3' 2>&1 `+closed+`; echo $?`).Output()
		got, _ := os.ReadFile(record)
		if text := string(got); text != "x\ny\n" && text != "y\nx\n" { // the order of streams is not promised
			t.Errorf("%s: recorded %q", closed, got)
		}
		if !strings.HasSuffix(string(out), "3\n") {
			t.Errorf("%s: %q", closed, out)
		}
	}
}

// The caller's stdout may be non-blocking, and its flag is the caller's.
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
	c.Stdout = w // before the flag: os/exec would take it away again if it knew
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	flags, err := unix.FcntlInt(uintptr(fds[1]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags are %#x, %v", flags, err)
	}
	w.Close()
	same(t, "stdout", readAll(t, r), pattern(Stdout, n))
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBackgroundProcessDoesNotHoldTheRun(t *testing.T) {
	t.Parallel()
	late := t.TempDir() + "/late"
	c, rec := command(t, "/bin/sh", "-c", "(sleep 1; echo late; : >"+late+") & sleep 30 & echo $! >&2; echo hi; exit 4")
	begin := time.Now()
	e := run(t, c)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := string(rec.bytes(Stdout)); got != "hi\n" || e.ExitCode != 4 {
		t.Errorf("%q, exit status %d", got, e.ExitCode)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(rec.bytes(Stderr))))
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Errorf("the background process is gone: %v", err)
	}
	// As the package says: whoever writes later gets SIGPIPE.
	time.Sleep(1500 * time.Millisecond)
	if _, err := os.Stat(late); err == nil {
		t.Error("a late writer was not ended")
	}
}

// Somebody who opens the pipe for reading may take what idem was about to read.
func TestStolenOutputDoesNotHang(t *testing.T) {
	t.Parallel()
	c, _ := command(t, "/bin/sh", "-c", "timeout 1 cat </dev/stdout >/dev/null & i=0; while [ $i -lt 3000 ]; do echo x; i=$((i+1)); done; wait")
	run(t, c)
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
		t.Errorf("%q, %v", buf[:n], err)
	}
	fmt.Fprintln(feed, "answer")
	<-end
	if got := string(rec.bytes(Stderr)); got != "answer\n" {
		t.Errorf("%q", got)
	}
}
