package spool

import (
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// TestLargeReplayGrowsThePipe runs if this user may have such pipes.
func TestLargeReplayGrowsThePipe(t *testing.T) {
	piped := func() *os.File {
		from, to, err := os.Pipe()
		must(t, err)
		t.Cleanup(func() { to.Close() })
		go func() {
			_, _ = io.Copy(io.Discard, from)
			from.Close()
		}()
		return to
	}
	size := func(f *os.File) int {
		n, err := unix.FcntlInt(f.Fd(), unix.F_GETPIPE_SZ, 0)
		must(t, err)
		return n
	}
	other := piped()
	if _, err := unix.FcntlInt(other.Fd(), unix.F_SETPIPE_SZ, fdio.BigPipe); err != nil {
		t.Skipf("this user may have no pipe of %d bytes: %v", fdio.BigPipe, err)
	}
	r, _ := mixed(t)
	to := piped()
	must(t, r.Replay(to, nil))
	if size(to) != size(other) {
		t.Errorf("the pipe has %d bytes, want %d", size(to), size(other))
	}
}
