package proc

import (
	"io"
	"os"
	"strconv"
	"testing"
)

// BenchmarkRun100MiB is the tee's throughput into a pipe that is read.
func BenchmarkRun100MiB(b *testing.B) {
	const n = 100 << 20
	b.SetBytes(n)
	for b.Loop() {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
			r.Close()
		}()
		c, _ := command(b, "head", "-c", strconv.Itoa(n), "/dev/zero")
		c.Stdout = w
		c.Record = func(Stream, []byte) {}
		run(b, c).Flush()
		w.Close()
	}
}

// BenchmarkRunTrue is what a command costs that does nothing.
func BenchmarkRunTrue(b *testing.B) {
	for b.Loop() {
		c, _ := command(b, "/bin/true")
		run(b, c)
	}
}
