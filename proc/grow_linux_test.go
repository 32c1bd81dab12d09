package proc

import (
	"testing"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// TestPipeOfALargeOutputGrows runs if this user may have such pipes. The pipe of a small
// output stays as it is.
func TestPipeOfALargeOutputGrows(t *testing.T) {
	_, other := newPipe(t)
	size := func(fd int) int {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	usual := size(int(other.Fd()))
	fdio.GrowPipe(int(other.Fd()))
	large := size(int(other.Fd()))
	if large == usual {
		t.Skipf("this user may have no pipe of %d bytes", fdio.BigPipe)
	}
	for _, k := range []struct{ output, want int }{{growAt, usual}, {2 * bigRead, large}} {
		c, _ := burst(t, k.output)
		r, w := newPipe(t)
		c.Stdout = w
		read := make(chan []byte)
		go func() { read <- readAll(t, r) }()
		if errs := run(t, c).Flush(); errs != nil {
			t.Error(errs)
		}
		if got := size(int(w.Fd())); got != k.want {
			t.Errorf("%d bytes: got a pipe of %d bytes, want %d", k.output, got, k.want)
		}
		w.Close()
		same(t, "stdout", <-read, pattern(Stdout, k.output))
	}
}
