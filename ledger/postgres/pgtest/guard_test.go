package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// A killed test process leaves no server behind, not even a paused one, and no file.
func TestGuardEndsServers(t *testing.T) {
	Need(t)
	NeedPooler(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^TestGuardedProcess$")
	c.Env = append(os.Environ(), "PGTEST_GUARDED=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	pids := make([]int, 3)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &dir, &pids[0], &pids[1], &pids[2]); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	for end := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s was not removed", dir)
		}
	}
	for _, pid := range pids {
		if state := stateOf(t, pid); state != "" && state != "Z" {
			t.Errorf("process %d lives: state %s", pid, state)
		}
	}
}

// TestGuardedProcess is the process that TestGuardEndsServers kills.
func TestGuardedProcess(t *testing.T) {
	if os.Getenv("PGTEST_GUARDED") == "" {
		return
	}
	s := Shared(t)
	paused := Start(t, Options{})
	p := s.Pooler(t, PoolerOptions{})
	paused.Pause(t)
	fmt.Println(s.room.dir, s.pid, paused.pid, p.pid)
	select {} // until the kill
}

// stateOf returns the letter of ps for the state of a process, or "".
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out[:1])
}
