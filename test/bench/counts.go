package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// count takes from a racer what does not depend on how busy the machine is, as
// medians of three calls: a checkpoint, say, is one in many.
func (b *bench) count(r *racer) (c counts, err error) {
	times := 3
	if b.quick {
		times = 1
	}
	var peaks, faults, syncs []float64
	usage, trace := filepath.Join(b.dir, "usage"), filepath.Join(b.dir, "trace")
	for range times {
		if _, err := b.runOnce(r, func(c call) call { return c.under(b.downloads.helper, "usage", usage) }); err != nil {
			return c, err
		}
		peak, minor, err := readUsage(usage)
		if err != nil {
			return c, err
		}
		peaks, faults = append(peaks, peak), append(faults, minor)
	}
	c.PeakKB, c.Faults = whole(median(peaks)), whole(median(faults))
	if b.strace == "" || r.work.bytes > straced || b.quick && r.name != idem {
		return c, nil
	}
	for range times {
		if _, err := b.runOnce(r, func(c call) call {
			return c.under(b.strace, "-f", "-qq", "-o", trace, "-e", "trace=fsync,fdatasync", "-e", "signal=none", "--")
		}); err != nil {
			return c, err
		}
		log, err := os.ReadFile(trace)
		if err != nil {
			return c, err
		}
		syncs = append(syncs, float64(syncsIn(log)))
	}
	c.Syncs = whole(median(syncs))
	return c, nil
}

// straced is the most output of what runs under strace, which is slow. More
// than that is not left lying about either.
const straced = 100 << 20

// readUsage reads what the helper has written: peak memory in KiB, and page faults.
func readUsage(path string) (peak, minor float64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	var own float64
	if _, err := fmt.Sscan(string(b), &peak, &minor, &own); err != nil {
		return 0, 0, fmt.Errorf("usage %q: %w", b, err)
	}
	if runtime.GOOS == "darwin" {
		peak /= 1024 // it counts in bytes
	}
	return peak, minor, nil
}

// syncsIn counts the calls in a log of strace, also those that another process interrupted.
func syncsIn(log []byte) int {
	return bytes.Count(log, []byte("fsync(")) + bytes.Count(log, []byte("fdatasync("))
}

// instructions are the fewest that valgrind counts in six calls, which no load
// changes; nil where there is no valgrind. Valgrind itself may break on the
// signals of Go's scheduler: such a call does not count.
func (b *bench) instructions(r *racer) *int64 {
	if b.valgrind == "" {
		return nil
	}
	fewest := math.Inf(1)
	for range 6 {
		c, _ := r.repeat()
		c = c.under(b.valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null")
		e := exec.Command(c.argv[0], c.argv[1:]...)
		e.Dir, e.Env = c.dir, append(c.env[:len(c.env):len(c.env)], "GODEBUG=asyncpreemptoff=1")
		out, err := e.CombinedOutput()
		if n, ok := instructionsIn(out); ok && err == nil {
			fewest = min(fewest, n)
		}
	}
	if math.IsInf(fewest, 1) {
		return nil
	}
	return whole(fewest)
}

// instructionsIn is the number of instructions in what callgrind says at the end.
func instructionsIn(out []byte) (float64, bool) {
	_, rest, _ := bytes.Cut(out, []byte("Collected : "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseFloat(string(line), 64)
	return n, err == nil
}

func whole(f float64) *int64 {
	n := int64(math.Round(f))
	return &n
}
