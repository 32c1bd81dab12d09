package proc

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReapWithoutADescriptor checks that the end of a process is noticed on a kernel that gives
// no descriptor for it.
func TestReapWithoutADescriptor(t *testing.T) {
	c, _ := command(t, "/bin/sh", "-c", "sleep 0.05; exit 3")
	k := &child{ended: make(chan struct{})}
	p, err := newPump(c, k)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.start(t.Context(), k, p.out.writeEnd, p.err.writeEnd); err != nil {
		t.Fatal(err)
	}
	p.closeWriteEnds()
	if err := unix.Close(k.proc.fd); err != nil {
		t.Fatal(err)
	}
	k.proc.fd = -1
	p.run(k.ended)
	p.close()
	<-k.ended
	if k.status.ExitCode != 3 || k.err != nil {
		t.Errorf("got status %v, error %v, want 3", k.status, k.err)
	}
}

// TestReapOfATracedProcess checks that the pump does not spin while a debugger keeps a process
// that has ended: its descriptor is ready, and the process cannot be reaped yet. Here, the
// descriptor is that of another process.
func TestReapOfATracedProcess(t *testing.T) {
	other, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = other.Wait() }()
	fd, err := unix.PidfdOpen(other.Pid, 0)
	if err != nil {
		t.Skip("the kernel has no descriptors of processes")
	}
	p := newProcess(os.Getpid(), fd) // this process goes on
	fds := []unix.PollFd{{Fd: -1}, {Fd: -1}, {Fd: -1, Events: unix.POLLIN}}
	await, end := p.poll(fds)
	defer end()
	rounds := 0
	for begin := time.Now(); time.Since(begin) < 200*time.Millisecond; rounds++ {
		await()
		if fds[2].Revents == 0 {
			t.Fatal("the end of the process is not noticed")
		}
	}
	if rounds > 1+200/reapInterval {
		t.Errorf("the pump looked %d times in 200 ms, want once in %d ms", rounds, reapInterval)
	}
}
