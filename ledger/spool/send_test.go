package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// mixed returns a reader of a recording of both streams, and its output. Replay writes the
// small pieces, and the kernel copies the large ones where it can.
func mixed(t *testing.T) (r *Reader, whole flat) {
	path, create := newSpoolDir(t).next()
	w := NewWriter(-1, time.Now(), create)
	for i, n := range []int{5, largeFrame, 1, largeFrame - 1, 300 << 10, 2, 3, maxFrame, 64 << 10, 7, largeFrame} {
		s, p := ledger.Stream(1+i/2%2), bytes.Repeat([]byte{byte('a' + i)}, n)
		whole.add(s, p)
		w.Write(s, p)
	}
	s, err := w.Close(false)
	must(t, err)
	r = open(t, s, path)
	t.Cleanup(func() { r.Close() })
	return r, whole
}

// slow reads a pipe to its end, with pauses that let it fill up.
func slow(f *os.File) chan []byte {
	got := make(chan []byte, 1)
	go func() {
		var all []byte
		buf := make([]byte, 100<<10)
		for {
			n, err := f.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				f.Close()
				got <- all
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return got
}

func TestReplayIntoPipes(t *testing.T) {
	for name, flags := range map[string]int{"blocking": 0, "non-blocking": unix.O_NONBLOCK} {
		t.Run(name, func(t *testing.T) {
			r, whole := mixed(t)
			var ends [2]*os.File
			var got [2]chan []byte
			for i := range ends {
				var fd [2]int
				must(t, unix.Pipe(fd[:]))
				if flags != 0 { // only for the end that Replay writes to, as a caller may set it
					_, err := unix.FcntlInt(uintptr(fd[1]), unix.F_SETFL, flags)
					must(t, err)
				}
				ends[i] = os.NewFile(uintptr(fd[1]), "pipe")
				got[i] = slow(os.NewFile(uintptr(fd[0]), "pipe"))
			}
			err := r.Replay(ends[0], ends[1])
			if flags != 0 {
				for _, f := range ends {
					now, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
					must(t, err)
					if now&unix.O_NONBLOCK == 0 {
						t.Error("the caller's descriptor was made blocking")
					}
				}
			}
			for _, f := range ends {
				f.Close()
			}
			must(t, err)
			for i, c := range got {
				if b := <-c; !bytes.Equal(b, whole.of(ledger.Stream(1+i))) {
					t.Errorf("stream %d: got %d bytes", 1+i, len(b))
				}
			}
		})
	}
}

// TestReplayInOneFileKeepsTheOrder replays both streams into the same file, as with 2>&1.
// The file is opened for appending or not.
func TestReplayInOneFileKeepsTheOrder(t *testing.T) {
	for name, flag := range map[string]int{"truncated": os.O_TRUNC, "appended": os.O_APPEND} {
		t.Run(name, func(t *testing.T) {
			r, whole := mixed(t)
			path := filepath.Join(t.TempDir(), "out")
			must(t, os.WriteFile(path, []byte("before"), 0o600))
			f, err := os.OpenFile(path, os.O_WRONLY|flag, 0)
			must(t, err)
			defer f.Close()
			must(t, r.Replay(f, f))
			got, err := os.ReadFile(path)
			must(t, err)
			if flag == os.O_APPEND {
				got = bytes.TrimPrefix(got, []byte("before"))
			}
			if !bytes.Equal(got, whole.bytes) {
				t.Errorf("got %d bytes, want %d", len(got), len(whole.bytes))
			}
		})
	}
}

// TestBrokenStreamEndsOnlyItself checks that the other stream is complete, and that the
// error names the cause.
func TestBrokenStreamEndsOnlyItself(t *testing.T) {
	noReader := func() *os.File {
		r, w, err := os.Pipe()
		must(t, err)
		r.Close()
		return w
	}
	full := func() *os.File {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		must(t, err)
		return f
	}
	for _, test := range []struct {
		name   string
		broken func() *os.File
		want   error
	}{
		{"no reader", noReader, unix.EPIPE},
		{"full", full, unix.ENOSPC},
		{"dropped", func() *os.File { return nil }, nil},
	} {
		for _, good := range []ledger.Stream{ledger.Stdout, ledger.Stderr} {
			r, whole := mixed(t)
			f, err := os.CreateTemp(t.TempDir(), "")
			must(t, err)
			defer f.Close()
			out, errs := f, test.broken()
			if good == ledger.Stderr {
				out, errs = errs, out
			}
			if err := r.Replay(out, errs); !errors.Is(err, test.want) {
				t.Errorf("%s: got error %v, want %v", test.name, err, test.want)
			}
			got, err := os.ReadFile(f.Name())
			must(t, err)
			if !bytes.Equal(got, whole.of(good)) {
				t.Errorf("%s: stream %d got %d bytes", test.name, good, len(got))
			}
		}
	}
}

// BenchmarkReplay replays an inline output and outputs in files into a pipe that another
// goroutine reads.
func BenchmarkReplay(b *testing.B) {
	for _, test := range []struct {
		name        string
		size, piece int
	}{{"inline 8KiB", 8 << 10, 100}, {"file 64MiB", 64 << 20, 64 << 10}, {"file 8MiB in lines", 8 << 20, 100}} {
		b.Run(test.name, func(b *testing.B) {
			path, create := newSpoolDir(b).next()
			w := NewWriter(-1, time.Now(), create)
			for range test.size / test.piece {
				w.Write(1, make([]byte, test.piece))
			}
			s, err := w.Close(false)
			must(b, err)
			from, to, err := os.Pipe()
			must(b, err)
			go func() {
				defer from.Close()
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{from}, make([]byte, 256<<10))
			}()
			b.SetBytes(int64(test.size))
			for b.Loop() {
				r := open(b, s, path)
				must(b, r.Replay(to, nil))
				r.Close()
			}
			to.Close()
		})
	}
}
