package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The progress of a batch is one line at the bottom of the terminal, which is erased before
// anything else is printed.
func TestE2EEachProgress(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.sh("seq 4 >list"), 0)
	const call = `idem each --key k -j 2 --arg-file list -- sh -c 'while [ ! -e go$1 ]; do sleep 0.01; done; echo out $1; test $1 != 2' _ {}`
	x := b.open("bash", "-c", "while [ ! -e start ]; do sleep 0.01; done; TERM=xterm "+binary()+"/"+call)
	x.resize(24, 80)
	b.wantStatus(b.sh("touch start"), 0)
	x.waitShown("\rk  0/4  2 running\x1b[K")
	b.wantStatus(b.sh("touch go1"), 0)
	x.waitShown("\r\x1b[Kout 1\r\n")
	x.waitShown("  2 running\x1b[K")
	x.resize(24, 12)
	b.wantStatus(b.sh("touch go2"), 0)
	x.waitShown("idem: item \"2\" failed with status 1 (attempt 1)\r\n")
	x.waitShown("\rk  2/4  ") // the rest of the line is cut
	b.wantStatus(b.sh("touch go3 go4"), 0)
	if s := x.end(); s.ExitStatus() != 123 {
		t.Errorf("got the end %#x, want 123", s)
	}
	all := x.all()
	last := all[strings.LastIndex(all, "out 4"):]
	if strings.Contains(last, "running") || !strings.Contains(last, "idem: batch \"k\": 1 item failed\r\n") {
		t.Errorf("the terminal shows %q at the end", last)
	}
	for _, line := range strings.Split(all[strings.Index(all, "failed with"):], "\r") {
		if line, drawn := strings.CutSuffix(line, "\x1b[K"); drawn && len(line) > 11 {
			t.Errorf("the line %q is too wide for the terminal", line)
		}
	}
	// All is done before. A line is drawn only if that takes some time, and erased.
	b.wantStatus(b.sh("idem mark done k/2"), 0)
	y := b.open("bash", "-c", "TERM=xterm "+binary()+"/"+call)
	if s := y.end(); s.ExitStatus() != 0 {
		t.Errorf("got the end %#x, want 0", s)
	}
	all = y.all()
	if _, after, drawn := strings.Cut(all, "\r\x1b[K"); drawn {
		all = after
	}
	if !strings.HasPrefix(all, `idem: note: batch "k": 4 done before in `) {
		t.Errorf("the terminal shows %q", all)
	}
}

// The first Ctrl-C lets the running items finish, the second one ends them.
func TestE2EEachCtrlC(t *testing.T) {
	t.Parallel()
	for _, twice := range []bool{false, true} {
		b := newBox(t)
		b.wantStatus(b.sh("seq 9 >list"), 0)
		argv := []string{
			"each", "--key", "k", "-j", "2", "--arg-file", "list", "--", "sh", "-c",
			"echo $1 >>ran; while [ ! -e go ]; do sleep 0.01; done; echo $1 >>ended", "_", "{}",
		}
		x := b.open(append([]string{binary() + "/idem"}, argv...)...)
		b.waitLines("ran", 2)
		x.typeKeys(ctrlC)
		x.waitShown("2 items are finishing; Ctrl-C again ends them")
		want := "2 done"
		if twice {
			want = "2 failed"
			x.typeKeys(ctrlC)
		} else {
			b.wantStatus(b.sh("touch go"), 0)
		}
		if s := x.end(); !s.Signaled() || s.Signal() != unix.SIGINT {
			t.Errorf("got the end %#x, want SIGINT; the terminal shows %q", s, x.shown())
		}
		if all := x.all(); !strings.Contains(all, `batch "k" was ended by a signal: `+want) {
			t.Errorf("the terminal shows %q, want %s", all, want)
		}
		b.waitLines("ran", 2)
		b.wantStatus(b.sh("touch go"), 0)
		b.wantStatus(b.run(argv...), 0)
		b.waitLines("ended", 9)
		if twice {
			b.waitLines("ran", 11)
		} else {
			b.waitLines("ran", 9)
		}
	}
}

// The starts of --rate keep their distance, retries included. Items that are done do not count:
// with one start in an hour, the second call would never end.
func TestE2EEachRate(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const n, interval = 20, 40 * time.Millisecond
	call := fmt.Sprintf(`seq %d | idem each --key k -j 8 --rate %%s --retries 1 --retry-delay 1ms --events events -- sh -c '[ $1 != 3 ] || [ $IDEM_ATTEMPT = 2 ]' _ {}`, n)
	b.wantStatus(b.sh(fmt.Sprintf(call, "25/s")), 0)
	var begin time.Time
	starts := 0
	for line := range strings.Lines(b.read("events")) {
		var e struct {
			Event string
			At    time.Time
		}
		testMust(t, json.Unmarshal([]byte(line), &e))
		switch e.Event {
		case "call":
			begin = e.At
		case "start":
			if least := time.Duration(starts) * interval; e.At.Sub(begin) < least {
				t.Errorf("start %d is %v after the begin, want at least %v", starts+1, e.At.Sub(begin), least)
			}
			starts++
		}
	}
	if starts != n+1 {
		t.Errorf("got %d starts, want %d and one retry", starts, n)
	}
	b.wantStatus(b.sh(fmt.Sprintf(call, "1/h")), 0)
}

// Each command inherits the lock of its item and no other lock, however many start at once.
// A lock of another item would keep that item busy after its end.
func TestE2EEachDescriptors(t *testing.T) {
	t.Parallel()
	requireTool(t, "bash")
	b := newBox(t)
	b.wantStatus(b.sh(`seq 300 | idem each --key k -j 64 --order done -- bash -c 'for fd in /proc/$$/fd/*; do [ ! $fd -ef $IDEM_LEDGER/locks ] || echo -n "lock "; done; echo' _ {} >out`), 0)
	if got := b.wantStatus(b.sh("sort out | uniq -c | tr -s ' '"), 0).out; got != " 300 lock \n" {
		t.Errorf("got the locks\n%s\nwant one in each of 300 items", got)
	}
}

// A batch whose user has no process left waits until there is room again. No item fails, and
// each one runs once.
func TestE2EEachFewProcesses(t *testing.T) {
	t.Parallel()
	requireTool(t, "prlimit")
	b := newBox(t)
	b.useNewUser(55000)
	testMust(t, unix.Mkfifo(b.path("gate"), 0o600))
	testMust(t, os.Chown(b.path("gate"), int(b.user.Uid), int(b.user.Gid)))
	gate, err := os.OpenFile(b.path("gate"), os.O_RDWR, 0)
	testMust(t, err)
	defer gate.Close()
	const limit, items = 60, 40
	// The command forks no process: it would find no room either.
	each := b.start([]string{"bash", "-c", fmt.Sprintf(`seq %d >list; exec prlimit --nproc=%d:%[2]d idem each --key k -j 8 --arg-file list -- sh -c 'echo "$1" >>ran; read x <gate' _ {}`, items, limit)})
	b.waitLines("ran", 8)
	hogs := b.start([]string{"bash", "-c", fmt.Sprintf("for i in {1..%d}; do sleep 300 & done; echo >hogs; wait", limit)})
	b.waitLines("hogs", 1)
	_, err = gate.WriteString(strings.Repeat("\n", items))
	testMust(t, err)
	b.waitUntil("idem finds no room", func() bool { return strings.Contains(b.read(each.err), "the system has no room for a further process") })
	hogs.killAll()
	r := b.wantStatus(each.wait(), 0)
	if strings.Count(r.err, "no room") != 1 || strings.Contains(r.err, "failed") {
		t.Errorf("got stderr\n%s\nwant one warning and no failure", r.err)
	}
	b.wantStatus(b.sh("sort -n ran | cmp - list"), 0)
}
