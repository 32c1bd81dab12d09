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

// count returns the figures of a racer that do not depend on the load of the machine.
// They are medians of three calls, because a single call may contain a rare event such
// as a checkpoint.
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
	if b.strace == "" || r.work.bytes > straced || b.quick && !isIdem(r.name) {
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

// straced is the largest output, in bytes, of a call under strace, which is slow. It is
// also the largest output that stays in idem's ledger after a call.
const straced = 100 << 20

// readUsage reads the file that the helper has written. It returns the peak memory in
// KiB and the number of page faults.
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
		peak /= 1024 // macOS counts in bytes
	}
	return peak, minor, nil
}

// syncsIn counts the calls of fsync and fdatasync in a log of strace. A call that is
// logged in two parts, "unfinished" and "resumed", counts once.
func syncsIn(log []byte) int {
	return bytes.Count(log, []byte("fsync(")) + bytes.Count(log, []byte("fdatasync("))
}

// instructions returns the least number of instructions that valgrind counts in six
// calls, or nil without valgrind. The load of the machine does not change this number.
// Valgrind itself may break on the signals of Go's scheduler. Such a call does not count.
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

// instructionsIn returns the number of instructions in the last message of callgrind.
func instructionsIn(out []byte) (float64, bool) {
	_, rest, _ := bytes.Cut(out, []byte("Collected : "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseFloat(string(line), 64)
	return n, err == nil
}

// whole returns a pointer to the rounded value.
func whole(f float64) *int64 {
	n := int64(math.Round(f))
	return &n
}
