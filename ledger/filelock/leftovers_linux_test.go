package filelock

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// TestProcessesThatDoNotCount checks that a zombie does not count, and neither does the
// process that asks.
func TestProcessesThatDoNotCount(t *testing.T) {
	t.Parallel()
	c := exec.Command("sh", "-c", "read x")
	c.Env = []string{ledger.RunIDVar + "=zombie"}
	stdin, err := c.StdinPipe()
	must(t, err)
	must(t, c.Start())
	// Until exec is done, the process has no environment.
	for !belongs(c.Process.Pid, "zombie") {
		time.Sleep(time.Millisecond)
	}
	if found := AllLeftovers()["zombie"]; len(found) != 1 || found[0].PID != c.Process.Pid {
		t.Errorf("got %+v, want process %d", found, c.Process.Pid)
	}
	must(t, stdin.Close())
	must(t, unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	if found := AllLeftovers()["zombie"]; len(found) != 0 || belongs(c.Process.Pid, "zombie") {
		t.Errorf("got %+v for a process that has ended", found)
	}
	_ = c.Wait()

	if os.Getenv("IDEM_TEST_SELF") == "" {
		self := exec.Command(os.Args[0], "-test.run=^TestProcessesThatDoNotCount$")
		self.Env = append(os.Environ(), "IDEM_TEST_SELF=1", ledger.RunIDVar+"=self")
		if out, err := self.CombinedOutput(); err != nil {
			t.Errorf("the test in a process of its own: got error %v, output\n%s", err, out)
		}
	} else if found := AllLeftovers()["self"]; len(found) != 0 {
		t.Errorf("got %+v, want no process: this one is the caller", found)
	}
}

// TestManyProcesses checks that no more than maxHolders processes are returned, which
// is as many as a message can name.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	for range maxHolders + 2 {
		ledgertest.Leave(t, ledger.RunIDVar+"=many")
	}
	if found := AllLeftovers()["many"]; len(found) != maxHolders {
		t.Errorf("got %d processes, want %d: %+v", len(found), maxHolders, found)
	}
}

func BenchmarkAllLeftovers(b *testing.B) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	b.ReportMetric(float64(len(dirs)), "processes")
	for b.Loop() {
		AllLeftovers()
	}
}
