package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"idem/internal/testkit"
	"idem/ledger"
)

// killedBatch kills a process that has begun an attempt, or also started or finished it. It returns the
// name of its list.
func killedBatch(t testing.TB, place, how string) string {
	t.Helper()
	c := batchProcess(os.Args[0], place, how)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	must(t, c.Process.Kill())
	_ = c.Wait()
	list := strings.TrimSpace(line)
	removeList(t, list)
	return list
}

func batchProcess(program, place, how string) *exec.Cmd {
	c := exec.Command(program, "-test.run=^TestKilledBeforeTheStart$")
	c.Env = append(os.Environ(), "SQLITE_TEST_BATCH="+place, "SQLITE_TEST_HOW="+how)
	return c
}

var ofTheChild = ledger.ID{Key: "of the child"}

// beBatch is the process of killedBatch.
func beBatch(t *testing.T, place, how string) {
	l := opened(t, place)
	l.Sustain()
	c, err := l.Claim(t.Context(), ofTheChild)
	must(t, err)
	x, err := c.Begin(context.Background(), ledger.Start{RunID: fmt.Sprint("run", os.Getpid()), MaxOutput: -1})
	must(t, err)
	if how != "begin" {
		x.(ledger.Inheriting).Descriptors()
	}
	if how == "finish" {
		_, err = x.Finish(context.Background(), success)
		must(t, err)
	}
	fmt.Println(x.(*execution).row.unstarted)
	select {}
}

// TestKilledBeforeTheStart kills a batch before and after the start of a command, and after its end.
func TestKilledBeforeTheStart(t *testing.T) {
	if place := os.Getenv("SQLITE_TEST_BATCH"); place != "" {
		beBatch(t, place, os.Getenv("SQLITE_TEST_HOW"))
	}
	lists(t)
	for how, want := range map[string]ledger.Phase{"begin": ledger.PhaseNone, "start": ledger.PhaseInterrupted, "finish": ledger.PhaseSucceeded} {
		l := opened(t, fresh(t))
		killedBatch(t, l.dir.Path(), how)
		rec, err := l.Get(t.Context(), ofTheChild)
		must(t, err)
		if rec.Phase() != want {
			t.Errorf("killed after %s: got phase %s, want %s", how, rec.Phase(), want)
		}
		must(t, l.Close())
		integrity(t, l.dir.Path())
	}
}

// TestKilledAtEachPoint kills one batch after the other, each at a point between Claim and
// Finish. The attempts that were never started leave nothing behind.
func TestKilledAtEachPoint(t *testing.T) {
	testkit.Slow(t, "it builds the test program with failpoints")
	lists(t)
	program := filepath.Join(t.TempDir(), "failpoint.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "failpoint", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unstarted := []string{"claim.taken", "begin.life", "begin.listed", "write.begun", "write.commit", "write.committed", "write.witnessed", "begin.done"}
	started := []string{"start.listed", "write.commit:2"}
	kill := func(l *Ledger, point string) {
		t.Helper()
		c := batchProcess(program, l.dir.Path(), "finish")
		c.Env = append(c.Env, "IDEM_FAILPOINT="+point)
		out, _ := c.CombinedOutput()
		if st := c.ProcessState.Sys().(syscall.WaitStatus); !st.Signaled() {
			t.Fatalf("at %s, the batch was not killed: %s", point, out)
		}
		removeList(t, strings.TrimSpace(string(out)))
	}
	phase := func(l *Ledger) string {
		t.Helper()
		rec, err := l.Get(t.Context(), ofTheChild)
		must(t, err)
		return fmt.Sprint(rec.Phase(), " ", rec.Attempts)
	}
	for _, first := range append(unstarted, started...) {
		for _, second := range append(unstarted, started...) {
			l := opened(t, fresh(t))
			runs(t, l, theKey, "first", nil, success)
			attempts := 0
			for _, point := range []string{first, second} {
				kill(l, point)
				if slices.Contains(started, point) {
					attempts++
				}
				want := fmt.Sprint(ledger.PhaseNone, " 0")
				if attempts > 0 {
					want = fmt.Sprint(ledger.PhaseInterrupted, " ", attempts)
				}
				if got := phase(l); got != want {
					t.Errorf("killed at %s and then %s: got %s, want %s", first, second, got, want)
				}
			}
			runs(t, l, ofTheChild, "last", nil, success)
			if got, want := phase(l), fmt.Sprint(ledger.PhaseSucceeded, " ", attempts+1); got != want {
				t.Errorf("killed at %s and %s, then run: got %s, want %s", first, second, got, want)
			}
			must(t, l.Close())
		}
	}
}
