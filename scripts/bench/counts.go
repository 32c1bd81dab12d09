package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		if _, err := b.once(r, func(c call) call { return c.under(b.shop.helper, "usage", usage) }); err != nil {
			return c, err
		}
		peak, minor, err := readUsage(usage)
		if err != nil {
			return c, err
		}
		peaks, faults = append(peaks, peak), append(faults, minor)
	}
	c.PeakKB, c.Faults = whole(median(peaks)), whole(median(faults))
	if b.strace == "" || r.work.bytes > straced {
		return c, nil
	}
	for range times {
		if _, err := b.once(r, func(c call) call {
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

// straced is the most output of what runs under strace, which is slow.
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

// instructions are the fewest of three calls by valgrind, which no load
// changes; nil where there is no valgrind.
func (b *bench) instructions(r *racer) (*int64, error) {
	if b.valgrind == "" {
		return nil, nil
	}
	fewest := math.Inf(1)
	for range 3 {
		c, _ := r.repeat()
		c = c.under(b.valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null")
		e := exec.Command(c.argv[0], c.argv[1:]...)
		e.Dir, e.Env = c.dir, c.env
		out, err := e.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s under valgrind: %w: %s", r.name, err, out)
		}
		m := regexp.MustCompile(`Collected : (\d+)`).FindSubmatch(out)
		if m == nil {
			return nil, fmt.Errorf("valgrind has not said how many instructions: %s", out)
		}
		n, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, err
		}
		fewest = min(fewest, n)
	}
	return whole(fewest), nil
}

func whole(f float64) *int64 {
	n := int64(math.Round(f))
	return &n
}
