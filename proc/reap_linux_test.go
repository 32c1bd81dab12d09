package proc

import (
	"testing"

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
