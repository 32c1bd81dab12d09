package proc

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/testkit"
)

func burst(t *testing.T, n int) (*Command, *recorder) {
	return command(t, append(self(t, "burst"), strconv.Itoa(n))...)
}

func TestOutputIsExactForASlowReader(t *testing.T) {
	testkit.Slow(t, "each reader sleeps for a second")
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

// A reader that stops forever must not delay the command's end. The output that it
// does not take must not fill the memory.
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
		t.Errorf("idem used %s bytes of memory", text)
	}
}

func TestBacklogIsGivenBackWhenTheReaderCatchesUp(t *testing.T) {
	t.Parallel()
	const n = 8 << 20
	c, rec := command(t, "/bin/sh", "-c", "head -c 8388608 /dev/zero; read x; echo one; read x; head -c 8388608 /dev/zero; echo two")
	var r *os.File
	var backlog Backlog
	r, c.Stdout = newPipe(t)
	in, feed := newPipe(t)
	c.Stdin = in
	makeLog := c.Backlog
	c.Backlog = func() (Backlog, error) {
		if backlog != nil {
			t.Error("Backlog was called twice")
		}
		f, err := makeLog()
		backlog = f
		return f, err
	}
	size := func() int64 {
		st, err := backlog.(*os.File).Stat()
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
	time.Sleep(100 * time.Millisecond) // until the pump has noticed the last write
	fmt.Fprintln(feed)
	line("one\n")
	if size() != 0 {
		t.Errorf("the backlog still has %d bytes", size())
	}
	fmt.Fprintln(feed) // start the second part
	e := <-end
	skip()
	line("two\n")
	if errs := e.Flush(); errs != nil {
		t.Errorf("Flush: %v", errs)
	}
}

func TestWithoutBacklogTheReaderSetsThePace(t *testing.T) {
	const n = 8 << 20
	for name, makeLog := range map[string]func() (Backlog, error){
		"none":   nil,
		"failed": func() (Backlog, error) { return nil, errors.New("no") },
		"full":   func() (Backlog, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) },
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
				t.Fatal("the command ended although 8 MiB were not read")
			case <-time.After(300 * time.Millisecond):
			}
			read := make(chan []byte)
			go func() { read <- readAll(t, r) }()
			e := <-end
			same(t, "recorded", rec.bytes(Stdout), pattern(Stdout, n))
			same(t, "recorded", rec.bytes(Stderr), pattern(Stderr, n))
			if errs := e.Flush(); errs != nil {
				t.Errorf("Flush: %v", errs)
			}
			c.Stdout.Close()
			same(t, "stdout", <-read, pattern(Stdout, n))
		})
	}
}

// A reader that sleeps during several runs delays none of them. It gets all of their
// output in order.
func TestLiveCopyGoesOnOverSeveralRuns(t *testing.T) {
	t.Parallel()
	const n, runs = 3 << 20, 3
	c, _ := burst(t, n)
	makeLog, made := c.Backlog, 0
	c.Backlog = func() (Backlog, error) {
		made++
		return makeLog()
	}
	var r *os.File
	r, c.Stdout = newPipe(t)
	var want []byte
	for range runs {
		c.Earlier = run(t, c)
		want = append(want, pattern(Stdout, n)...)
	}
	read := make(chan []byte)
	go func() { read <- readAll(t, r) }()
	if errs := c.Earlier.Flush(); errs != nil || made != 1 {
		t.Errorf("got errors %v and %d backlogs, want none and 1", errs, made)
	}
	c.Stdout.Close()
	same(t, "stdout", <-read, want)
}

// Without a backlog, output of one command that is still in memory is written before
// that of the next command.
func TestLiveCopyGoesOnWithoutABacklog(t *testing.T) {
	t.Parallel()
	const n = 1900 << 10
	c, _ := command(t, append(self(t, "burst"), strconv.Itoa(n))...)
	c.Backlog = nil
	var r *os.File
	r, c.Stdout = newPipe(t)
	c.Earlier = run(t, c)
	read := make(chan []byte)
	go func() {
		time.Sleep(100 * time.Millisecond) // the second command is writing by then
		read <- readAll(t, r)
	}()
	if errs := run(t, c).Flush(); errs != nil {
		t.Errorf("Flush: %v", errs)
	}
	c.Stdout.Close()
	same(t, "stdout", <-read, append(pattern(Stdout, n), pattern(Stdout, n)...))
}

// Flush also returns the error that made the copy of an earlier run incomplete.
func TestErrorOfAnEarlierCopyIsKept(t *testing.T) {
	t.Parallel()
	c, _ := burst(t, 1<<20)
	var err error
	if c.Stdout, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Skip(err)
	}
	c.Earlier = run(t, c)
	c.Path, c.Args = shell, []string{"sh", "-c", ":"}
	if errs := run(t, c).Flush(); len(errs) != 1 || !errors.Is(errs[0], unix.ENOSPC) {
		t.Errorf("got errors %v, want one ENOSPC", errs)
	}
}

// A command can leave as much output in the pipes as without idem.
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
		t.Errorf("Flush: %v", errs)
	}
	c.Stdout.Close()
	same(t, "stdout", <-read, pattern(Stdout, n))
}

// A script that filters its own output ends before its filter does.
func TestOutputOfAFilterAfterTheEnd(t *testing.T) {
	bash, err := LookPath("bash")
	if err != nil {
		t.Skip("bash: not found")
	}
	for range 5 {
		c, rec := command(t, bash, "-c", `exec > >(sed s/a/b/); echo aaa`)
		run(t, c)
		if got := string(rec.bytes(Stdout)); got != "baa\n" {
			t.Fatalf("recorded %q", got)
		}
	}
}

// Run does not wait for a background process that writes without end.
func TestEndlessWriterAfterTheEnd(t *testing.T) {
	c, rec := command(t, "/bin/sh", "-c", `yes & echo $! >`+t.TempDir()+`/pid; exit 3`)
	if e := run(t, c); e.ExitCode != 3 {
		t.Fatalf("exit code %d", e.ExitCode)
	}
	if n := len(rec.bytes(Stdout)); n > 16<<20 {
		t.Fatalf("recorded %d bytes of an endless writer", n)
	}
}

// A process that was left behind may still write, which Open reports. Unread counts
// the bytes that it has written and that were not read.
func TestOutputThatIsHeldAtTheEnd(t *testing.T) {
	testkit.Slow(t, "it waits for processes that outlive the command")
	for name, test := range map[string]struct {
		script       string
		open, unread bool
	}{
		"nothing left":     {`echo out; echo err >&2`, false, false},
		"sent elsewhere":   {`sleep 1000 >/dev/null 2>&1 & echo $! >$PIDS; echo out`, false, false},
		"a filter":         {`exec 3>&1; echo aaa | sed s/a/b/ >&3 & `, false, false},
		"holds stdout":     {`sleep 1000 2>/dev/null & echo $! >$PIDS; echo out`, true, false},
		"holds stderr":     {`sleep 1000 >/dev/null & echo $! >$PIDS; echo out`, true, false},
		"writes for ever":  {`yes & echo $! >$PIDS`, true, true},
		"writes on stderr": {`yes >&2 & echo $! >$PIDS`, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			pids := t.TempDir() + "/pids"
			c, rec := command(t, shell, "-c", test.script)
			c.Env = append(os.Environ(), "PIDS="+pids)
			e := run(t, c)
			rec.over = true
			if text, err := os.ReadFile(pids); err == nil {
				pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
				defer unix.Kill(pid, unix.SIGKILL)
			}
			unread := e.Unread[Stdout]+e.Unread[Stderr] > 0
			if e.Open != test.open || unread != test.unread {
				t.Errorf("open %t, unread %v, want %t, %t", e.Open, e.Unread, test.open, test.unread)
			}
		})
	}
}
