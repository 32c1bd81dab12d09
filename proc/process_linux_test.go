package proc

import (
	"context"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A command that has ended by itself was not stopped, whoever of us notices the
// end of its time and its own first: idem may have been stopped or slow.
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
		k := &child{proc: newProcess(c.Process.Pid), ended: make(chan struct{})}
		if err := unix.Waitid(unix.P_PID, k.proc.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if reaped {
			k.wait(-1)
		}
		for range 50 { // each channel may be the one that is chosen
			k.stopAtEndOf(over, 0, 0)
		}
		if k.wasStopped() != NotStopped {
			t.Errorf("reaped %t: it counts as stopped", reaped)
		}
		if !reaped {
			k.wait(-1)
		}
	}
}

// The number of a command that has ended may be another's, who leads a group.
func TestReusedNumberGetsNoSignal(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	k := &child{proc: newProcess(other.Process.Pid)}
	k.proc.reaped = true
	if k.kill(unix.SIGTERM) {
		t.Error("it was sent")
	}
	k.proc.reaped = false
	if !k.kill(unix.SIGINT) {
		t.Error("it was not sent to the command")
	}
	_ = other.Wait()
	if ws := other.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGINT {
		t.Errorf("status %#x", uint32(ws))
	}
}
