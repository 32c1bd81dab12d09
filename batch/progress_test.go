package batch

import (
	"os"
	"strings"
	"testing"
	"time"

	"idem/ledger"
)

func TestProgressText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at   Standing
		rate float64
		want string
	}{
		{Standing{}, 0, "K  0"},
		{Standing{Settled: 48210, Before: 40000, Failed: 3, Running: 8, Ran: 8210, Read: 100_000, AllRead: true}, 512, "K  48,210/100,000 (40,000 before)  512/s  eta 1m42s  3 failed  8 running"},
		{Standing{Settled: 48210, Running: 8, Read: 50_000, ReadBytes: 500, Size: 1000}, 512.4, "K  48,210/~100,000  512/s  eta 1m42s  8 running"},
		{Standing{Settled: 10, Running: 1, Read: 20}, 3.14, "K  10  3.1/s  1 running"}, // a pipe
		{Standing{Settled: 10, Read: 10, AllRead: true}, 0.2, "K  10/10  12.0/min"},
		{Standing{Settled: 10, Read: 20, AllRead: true}, 0.001, "K  10/20  3.6/h  eta 2h46m"},
		{Standing{Settled: 10, Read: 20, ReadBytes: 10, Size: 5}, 0, "K  10/~20"}, // the file has grown
		{Standing{Settled: 10, Read: 20, AllRead: true}, 1e-300, "K  10/20  0.0/h  eta over 1000d"},
	} {
		if got := progressText("K", c.at, c.rate); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	if got := progressText(strings.Repeat("ä", 100), Standing{}, 0); got != strings.Repeat("ä", 40)+"…  0" {
		t.Errorf("got %q", got)
	}
}

func TestSpanText(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{0.1: "1s", 59: "59s", 59.5: "1m00s", 61: "1m01s", 7261: "2h01m", 90000: "1d01h", 1e9: "over 1000d"} {
		if got := spanText(seconds); got != want {
			t.Errorf("%v: got %q, want %q", seconds, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"äöü", 2, "äö"}, {"漢字", 3, "漢"}, {"abc", 0, ""}, {"abc", -1, ""}} {
		if got := cut(c.line, c.columns); got != c.want {
			t.Errorf("%q, %d: got %q, want %q", c.line, c.columns, got, c.want)
		}
	}
}

// Items that were done before are not in the speed, and neither is the time for them.
func TestSpeed(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var s speed
	step := func(d time.Duration, ran, running int) float64 {
		now = now.Add(d)
		return s.of(now, Standing{Settled: 1_000_000 + ran, Before: 1_000_000, Ran: ran, Running: running})
	}
	for range 100 {
		if got := step(time.Second, 0, 0); got != 0 {
			t.Fatalf("got %v without a command", got)
		}
	}
	if got := step(time.Second, 0, 1); got != 0 {
		t.Errorf("got %v at the first command", got)
	}
	if got := step(10*time.Second, 5, 1); got != 0.5 {
		t.Errorf("got %v, want 0.5", got)
	}
	if got := step(time.Second, 5, 1); got != 0.5 { // a command ends every two seconds
		t.Errorf("got %v, want 0.5", got)
	}
	ran, got := 5, 0.0
	for range 1000 { // 100/s
		ran += 10
		got = step(100*time.Millisecond, ran, 1)
	}
	if got < 99 || got > 101 {
		t.Errorf("got %v, want 100", got)
	}
	for range 1000 { // it becomes slower
		ran++
		got = step(100*time.Millisecond, ran, 1)
	}
	if got < 9.5 || got > 10.5 {
		t.Errorf("got %v, want 10", got)
	}
	if len(s.recent) > 30 {
		t.Errorf("%d samples are kept", len(s.recent))
	}
	got = step(time.Hour, ran, 1) // one command takes long
	if all := float64(ran) / now.Sub(s.start.at).Seconds(); got < all || got > all*1.01 {
		t.Errorf("got %v, want that of the call, %v", got, all)
	}
}

// ticking is a clock that a test moves.
type ticking struct {
	c   chan time.Time
	now time.Time
}

func (c *ticking) options(o ProgressOptions) ProgressOptions {
	o.Now = func() time.Time { return c.now }
	o.Tick = func(every time.Duration) (<-chan time.Time, func()) { return c.c, func() {} }
	return o
}

// screenTo returns a screen whose streams are one pipe, as on a terminal.
func screenTo(t *testing.T, terminal bool, columns int) (*Screen, *reading, *os.File) {
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	out := &reading{r: r}
	out.more.L = &out.mu
	out.begin()
	return NewScreen(ScreenOptions{Stdout: w, Stderr: w, OutTerminal: terminal, ErrTerminal: terminal, Columns: func() int { return columns }}), out, w
}

// The line of progress is erased before anything else is written, and drawn again later.
func TestProgressBar(t *testing.T) {
	t.Parallel()
	s, out, w := screenTo(t, true, 20)
	const erase = "\r\x1b[K"
	want := ""
	next := func(text string) {
		t.Helper()
		want += text
		same(t, "terminal", out.length(len(want)), want)
	}
	s.draw("K  1/5")
	s.draw("K  1/5") // nothing has changed, so nothing is drawn
	next("\rK  1/5\x1b[K")
	must(t, s.output(ledger.Stdout, []byte("out\n")))
	next(erase + "out\n")
	s.draw("K  1/5")
	next("\rK  1/5\x1b[K")
	_, _ = s.Write([]byte("idem: message\n"))
	next(erase + "idem: message\n")
	must(t, s.output(ledger.Stderr, []byte("half a line")))
	s.draw("K  1/5") // it would erase the half
	must(t, s.output(ledger.Stdout, []byte(" ends\n")))
	next("half a line ends\n")
	s.draw("K  1/5  12 failed  3 running") // is cut, without the last column
	next("\rK  1/5  12 failed  \x1b[K")
	s.draw("")
	next(erase)
	must(t, s.output(ledger.Stdout, []byte("half")))
	_, _ = s.Write([]byte("idem: later\n"))
	next("half\nidem: later\n")
	s.draw("K  2/5")
	s.Close()
	next("\rK  2/5\x1b[K" + erase)
	_, _ = s.Write([]byte("idem: at once\n"))
	w.Close()
	same(t, "terminal", out.until(""), want+"idem: at once\n")
}

func TestProgressDrawsTheBar(t *testing.T) {
	t.Parallel()
	s, out, w := screenTo(t, true, 80)
	clock := &ticking{c: make(chan time.Time), now: time.Unix(0, 0)}
	p := ShowProgress(clock.options(ProgressOptions{Mode: ProgressBar, Name: "K", Screen: s, Standing: func() Standing { return Standing{Settled: 7} }}))
	clock.c <- clock.now
	clock.c <- clock.now
	p.Stop()
	w.Close()
	same(t, "terminal", out.until(""), "\rK  7\x1b[K\r\x1b[K")
}

// A process in the background does not draw.
func TestProgressBarInBackground(t *testing.T) {
	t.Parallel()
	s, out, w := screenTo(t, true, 0)
	s.draw("K  1/5")
	s.Close()
	w.Close()
	same(t, "terminal", out.until(""), "")
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	s, out, w := screenTo(t, false, 0)
	clock := &ticking{c: make(chan time.Time), now: time.Unix(0, 0)}
	p := ShowProgress(clock.options(ProgressOptions{Mode: ProgressLines, Name: "K", Screen: s, Standing: func() Standing { return Standing{Settled: 7, Read: 9} }}))
	clock.c <- clock.now
	clock.c <- clock.now
	p.Stop()
	s.Close()
	w.Close()
	same(t, "stderr", out.until(""), "idem: K  7\nidem: K  7\n")
	ShowProgress(ProgressOptions{}).Stop()
}

// Messages do not wait for the reader of stdout, and not for that of stderr while there is
// memory.
func TestMessagesDoNotWait(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	it := k.item("a").attempt(-1)
	it.out(strings.Repeat("a", 1<<20))
	k.outs[1].begin()
	_, _ = k.screen.Write([]byte("idem: message\n"))
	k.outs[1].until("idem: message\n")
	k.outs[0].begin()
	it.end(0)
	k.screen.Close()
	k.want(strings.Repeat("a", 1<<20), "idem: message\n")

	k = newRig(t, PrinterOptions{}, true)
	line := []byte(strings.Repeat("m", 1023) + "\n")
	for range 100 { // more than a pipe has
		_, _ = k.screen.Write(line)
	}
	k.outs[0].begin()
	k.outs[1].begin()
	k.screen.Close()
	k.want("", strings.Repeat(string(line), 100))
}
