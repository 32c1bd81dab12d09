package proc

import (
	"context"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A command that has ended by itself does not count as stopped. This holds even if
// idem notices the timeout before the command's end, because idem was stopped or
// slow.
func TestEndOfTheTimeComesAfterTheCommands(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, reaped := range []bool{false, true} {
		c := exec.Command("true")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		k := &child{proc: newProcess(c.Process.Pid, -1), ended: make(chan struct{})}
		if err := unix.Waitid(unix.P_PID, k.proc.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if reaped {
			k.wait(-1)
		}
		for range 50 { // select may choose either channel
			k.stopAtEndOf(over, 0, 0)
		}
		if k.wasStopped() != NotStopped {
			t.Errorf("reaped %t: the command counts as stopped", reaped)
		}
		if !reaped {
			k.wait(-1)
		}
	}
}

// After a command has ended, another process that leads a group may have its pid.
func TestReusedNumberGetsNoSignal(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	k := &child{proc: newProcess(other.Process.Pid, -1)}
	k.proc.reaped = true
	if k.kill(unix.SIGTERM) {
		t.Error("the signal was sent")
	}
	k.proc.reaped = false
	if !k.kill(unix.SIGINT) {
		t.Error("the signal was not sent to the command")
	}
	_ = other.Wait()
	if ws := other.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGINT {
		t.Errorf("the command has wait status %#x, want INT", uint32(ws))
	}
}
