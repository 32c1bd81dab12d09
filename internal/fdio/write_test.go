package fdio

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// fullPipe returns a pipe whose write end returns EAGAIN when the pipe is full.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w") // Go takes both for blocking
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// Another process may make a descriptor non-blocking that it shares with idem.
func TestWriteAllToANonBlockingPipe(t *testing.T) {
	t.Parallel()
	r, w := fullPipe(t)
	read := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		read <- b
	}()
	want := bytes.Repeat([]byte("0123456789abcde"), 200_000)
	if err := WriteAll(w, want); err != nil {
		t.Error(err)
	}
	w.Close()
	if got := <-read; !bytes.Equal(got, want) {
		t.Errorf("%d bytes were read, want %d", len(got), len(want))
	}
}

// A caller that also waits for other events can stop the wait.
func TestWriteGivesUp(t *testing.T) {
	t.Parallel()
	_, w := fullPipe(t)
	fd := int(w.Fd())
	asked, written := 0, 0
	for {
		n, err := Write(fd, make([]byte, 1<<16), func(int) bool { asked++; return false })
		if err != nil {
			t.Fatal(err)
		}
		if written += n; n == 0 {
			break
		}
	}
	if asked != 1 || written == 0 {
		t.Errorf("room was called %d times, %d bytes were written", asked, written)
	}
}
