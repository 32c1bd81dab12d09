package postgres

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// BenchmarkOutput sends an output of 64 MiB and replays it on another host.
func BenchmarkOutput(b *testing.B) {
	r := newRoom(b)
	part := random(1 << 20)
	const parts = 64
	l, other := r.open("a", ""), r.open("b", "")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	must(b, err)
	defer null.Close()
	var runID string
	b.Run("Up", func(b *testing.B) {
		b.SetBytes(parts << 20)
		for b.Loop() {
			c, x := begin(b, l, -1)
			for range parts {
				x.Write(ledger.Stdout, part)
			}
			runID = finish(b, c, x).RunID
		}
		reportPeak(b)
	})
	b.Run("Down", func(b *testing.B) {
		b.SetBytes(parts << 20)
		for b.Loop() {
			out, err := other.Output(b.Context(), testID, runID)
			must(b, err)
			must(b, out.Replay(null, nil))
			must(b, out.Close())
		}
		reportPeak(b)
	})
}

// BenchmarkCopy is a plain COPY of the same rows, for comparison.
func BenchmarkCopy(b *testing.B) {
	r := newRoom(b)
	l := r.open("a", "")
	part := random(1 << 20)
	c, x := begin(b, l, -1)
	for range 64 {
		x.Write(ledger.Stdout, part)
	}
	finish(b, c, x)
	conn, err := l.dial(b.Context())
	must(b, err)
	defer conn.Close(b.Context())
	r.query("create table {s}.copy (like {s}.output including storage); grant insert, select on {s}.copy to " + pgtest.CI)
	var rows bytes.Buffer
	b.Run("Down", func(b *testing.B) {
		b.SetBytes(64 << 20)
		for b.Loop() {
			rows.Reset()
			_, err := conn.CopyTo(b.Context(), &rows, "copy "+r.schema+".output to stdout binary")
			must(b, err)
		}
	})
	b.Run("Up", func(b *testing.B) {
		b.SetBytes(64 << 20)
		for b.Loop() {
			_, err := conn.CopyFrom(b.Context(), bytes.NewReader(rows.Bytes()), "copy "+r.schema+".copy from stdin binary")
			must(b, err)
		}
	})
}

// reportPeak reports the most memory that this process has had (proc(5), VmHWM).
func reportPeak(b *testing.B) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	if fields := bytes.Fields(rest); len(fields) > 0 {
		n, _ := strconv.Atoi(string(fields[0]))
		b.ReportMetric(float64(n)/1024, "MiB-peak")
	}
}
