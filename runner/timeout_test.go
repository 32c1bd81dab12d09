package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/sqlite"
)

// soon returns a timeout that is long enough for a shell to start on a loaded
// machine.
func soon(t *testing.T) time.Duration {
	t.Helper()
	testkit.Slow(t, "the command runs into its timeout of 3 s")
	return 3 * time.Second
}

// needsGroup skips a test if the test process has a terminal. Then a command stays in
// the group of idem, which may be the foreground group.
func needsGroup(t *testing.T) {
	if tty, err := os.Open("/dev/tty"); err == nil {
		tty.Close()
		t.Skip("run without a terminal: setsid -w go test ./runner")
	}
}

// alive reports whether the process whose id is in a file is running.
func (k *kit) alive(name string) bool {
	k.Helper()
	b, err := os.ReadFile(k.path(name))
	must(k.T, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(k.T, err)
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	zombie := strings.Contains(string(stat), ") Z ")
	return !zombie && syscall.Kill(pid, 0) == nil
}

// timedOut checks the outcome of a call whose command timed out.
func (k *kit) timedOut(o outcome, by syscall.Signal) {
	k.Helper()
	cur := o.Record.Current
	if o.err != nil || o.Action != ActionExecute || o.Unrecorded != nil || o.Fatal != 0 {
		k.Fatalf("got %v, error %v, unrecorded %v", o.Decision, o.err, o.Unrecorded)
	}
	if cur.State != ledger.Failed || cur.Reason != ledger.ReasonTimeout || cur.ExitCode != 124 || cur.Signal != int(by) || o.Status.Signal != by {
		k.Errorf("got %+v, status %+v", cur, o.Status)
	}
}

func TestTimeoutEndsTheCommand(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("echo x >>side; echo out; exec sleep 600")
	c.Limits.Timeout = soon(t)
	o := k.first(c)
	k.timedOut(o, syscall.SIGTERM)
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")

	again := c // the recorded outcome is an ordinary failure
	again.Policy.OnFailure = ChoiceReplay
	k.want(k.first(again), Decision{ActionReplay, ReasonFailed}, "out\n", "")
	again.Policy = Policy{Final: Codes{{124, 124}}}
	k.want(k.first(again), Decision{ActionReplay, ReasonFinal}, "out\n", "")
}

func TestTimeoutCountsWhateverTheExitStatus(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("trap 'echo cleaned up; exit 0' TERM; while :; do sleep 0.05; done")
	c.Limits.Timeout = soon(t)
	o := k.first(c)
	k.timedOut(o, 0)
	if o.out != "cleaned up\n" {
		t.Errorf("got stdout %q", o.out)
	}
}

func TestKillComesAfterAnIgnoredTerm(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("trap '' TERM; echo out; while :; do sleep 0.05; done")
	c.Limits.Timeout, c.Limits.KillAfter = soon(t), 100*time.Millisecond
	o := k.first(c)
	k.timedOut(o, syscall.SIGKILL)
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
}

// A timeout that is over before the command starts is like any other. The attempt is
// made and recorded.
func TestTimeoutThatIsOverAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.call("sleep", "600")
	c.Limits.Timeout = time.Nanosecond
	k.timedOut(k.first(c), syscall.SIGTERM)
	if a := k.attempts(); len(a) != 1 || a[0].Reason != ledger.ReasonTimeout {
		t.Errorf("got the history %+v", a)
	}
}

func TestCommandWithinItsTimeout(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.job()
	c.Limits.Timeout, c.Limits.KillAfter = time.Hour, time.Millisecond
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
}

func TestEachAttemptHasItsOwnTimeout(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.shell("echo x >>side; [ $ATTEMPT = 2 ] || exec sleep 600")
	c.Limits.Timeout, c.Retries.N = soon(t), 3
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "", "")
	if a := k.attempts(); len(a) != 2 || a[0].Reason != ledger.ReasonTimeout || a[1].State != ledger.Succeeded || k.side() != 2 {
		t.Errorf("got the history %+v", a)
	}
}

func TestTimeoutEndsTheChildrenToo(t *testing.T) {
	t.Parallel()
	needsGroup(t)
	k := newKit(t)
	c := k.shell("sleep 600 & echo $! >child; wait")
	c.Limits.Timeout = soon(t)
	o := k.first(c)
	k.timedOut(o, syscall.SIGTERM)
	k.until("the end of the child", func() bool { return !k.alive("child") })
}

func TestCommandHasItsOwnGroupOnlyWithATimeout(t *testing.T) {
	t.Parallel()
	needsGroup(t)
	k := newKit(t)
	const group = `set -- $(cat /proc/self/stat); echo $5` // of cat
	for timeout, own := range map[time.Duration]bool{0: false, time.Hour: true} {
		c := k.shell(group)
		c.Limits.Timeout, c.Policy.Force = timeout, true
		o := k.first(c)
		if o.err != nil || (strings.TrimSpace(o.out) != strconv.Itoa(syscall.Getpgrp())) != own {
			t.Errorf("timeout %v: the command is in group %q, the test in %d, error %v", timeout, o.out, syscall.Getpgrp(), o.err)
		}
	}
}

// A process that has left the group survives a timeout. It keeps the key busy for the
// due retry and for later calls.
func TestSurvivorsOfATimeoutKeepTheKeyBusy(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	l, err := sqlite.Open(filepath.Join(k.dir, "ledger"))
	must(t, err)
	defer l.Close()
	c := k.shell("echo x >>side; [ $ATTEMPT = 1 ] || exit 0; setsid sh -c 'echo $$ >survivor; exec sleep 600' & while [ ! -s survivor ]; do sleep 0.01; done; exec sleep 600")
	c.Limits.Timeout, c.Retries.N = soon(t), 3
	o := k.run(l, c)
	k.timedOut(o, syscall.SIGTERM)
	var busy *ledger.BusyError
	if !errors.As(o.NotRetried, &busy) || !busy.Leftover || o.Record.Attempts != 1 || k.side() != 1 {
		t.Errorf("not retried: %v; ran %d times, %+v", o.NotRetried, k.side(), o.Record)
	}
	b, err := os.ReadFile(k.path("survivor"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(t, err)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if !k.alive("survivor") {
		t.Fatal("the process that left the group has ended, want it alive")
	}
	o = k.run(l, c)
	k.want(o, Decision{ActionRefuse, ReasonBusy}, "", "")
	if !o.Leftover || o.Record.Current.Reason != ledger.ReasonTimeout {
		t.Errorf("got %+v", o.Result)
	}
	if d, err := c.ask(t.Context(), l); err != nil || d.Decision != (Decision{ActionRefuse, ReasonBusy}) {
		t.Errorf("asked: got %v, error %v", d.Decision, err)
	}

	must(t, syscall.Kill(pid, syscall.SIGKILL))
	c.Wait.Set = true
	k.want(k.run(l, c), Decision{ActionExecute, ReasonFailed}, "", "")
}
