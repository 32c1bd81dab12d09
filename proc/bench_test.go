package proc

import (
	"io"
	"os"
	"strconv"
	"testing"
)

// BenchmarkRun100MiB measures the throughput of the tee into a pipe that is read.
func BenchmarkRun100MiB(b *testing.B) {
	const n = 100 << 20
	b.SetBytes(n)
	for b.Loop() {
		w := drained(b)
		c, _ := command(b, "head", "-c", strconv.Itoa(n), "/dev/zero")
		c.Stdout = w
		c.Record = func(Stream, []byte) {}
		run(b, c).Flush()
		w.Close()
	}
}

// drained returns the write end of a pipe that is read to its end.
func drained(b *testing.B) *os.File {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close() })
	go func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		r.Close()
	}()
	return w
}

// BenchmarkTee measures the live copy alone, and the same writes without it.
func BenchmarkTee(b *testing.B) {
	piece := make([]byte, 64<<10)
	b.Run("tee", func(b *testing.B) {
		t := newTee(drained(b), nil)
		t.grow() // as for a command that writes much
		b.SetBytes(int64(len(piece)))
		for b.Loop() {
			for p := piece; len(p) > 0; {
				n := copy(t.space(nil), p)
				t.commit(n)
				p = p[n:]
			}
		}
		t.close()
		<-t.done
	})
	b.Run("write", func(b *testing.B) {
		w := drained(b)
		b.SetBytes(int64(len(piece)))
		for b.Loop() {
			if _, err := w.Write(piece); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRunTrue measures the cost of a command that does nothing.
func BenchmarkRunTrue(b *testing.B) {
	for b.Loop() {
		c, _ := command(b, "/bin/true")
		run(b, c)
	}
}
