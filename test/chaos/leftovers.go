package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// linger is how long what is left of killed commands may take to end by itself:
// a daemon sleeps for 0.3 s, a worker works for 0.42 s at most once its key is
// not hunted any more.
const linger = 30 * time.Second

// leftBehind waits for the last processes and complains about those that stay.
func (r *killing) leftBehind() {
	deadline := time.Now().Add(linger)
	rest := r.scan()
	for len(rest) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		rest = r.scan()
	}
	for _, p := range rest {
		r.complain(fault{noLeftovers, p.call, fmt.Sprintf("process %d still lives", p.pid), -1})
		_ = r.kill(p, func() {})
	}
}

// furniture is what a ledger has when nobody uses it.
var furniture = []string{"README", "init.lock", "ledger.db", "ledger.db-shm", "ledger.db-wal", "locks", "output"}

// litter complains about what is left of idem when all its processes are gone:
// files in the ledger and among the temporary ones, descriptors, locks.
func (r *killing) litter() {
	complain := func(format string, args ...any) {
		r.complain(fault{promise: noLeftovers, what: fmt.Sprintf(format, args...), at: -1})
	}
	for _, name := range names(r.ledger) {
		if !slices.Contains(furniture, name) {
			complain("%s in the ledger", name)
		}
	}
	for _, name := range names(r.tmp()) {
		complain("%s among the temporary files", name)
	}
	for _, pid := range names("/proc") {
		for _, path := range opened(pid, r.ledger) {
			complain("process %s has %s open", pid, path)
		}
	}
	for _, name := range []string{"init.lock", "locks", "ledger.db", "ledger.db-shm"} {
		for _, line := range locked(filepath.Join(r.ledger, name)) {
			complain("%s is locked: %s", name, line)
		}
	}
}

// names returns what is in a directory: nothing, if it is not there.
func names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// opened returns the files of a directory that a process has open.
func opened(pid, dir string) (paths []string) {
	fds := filepath.Join("/proc", pid, "fd")
	for _, fd := range names(fds) {
		if path, err := os.Readlink(filepath.Join(fds, fd)); err == nil && strings.HasPrefix(path, dir+"/") {
			paths = append(paths, path)
		}
	}
	return paths
}

// locked returns what the kernel says of the locks on a file.
func locked(path string) (lines []string) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return nil
	}
	all, err := os.ReadFile("/proc/locks")
	must(err)
	file := fmt.Sprintf(" %02x:%02x:%d ", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range bytes.SplitSeq(all, []byte("\n")) {
		if bytes.Contains(line, []byte(file)) {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// surplus counts the descriptors of the ledger that this process, a command of
// idem's, has besides the one that keeps its key locked.
func surplus() int {
	own := 0
	paths := opened(strconv.Itoa(os.Getpid()), os.Getenv("IDEM_LEDGER"))
	if slices.Contains(paths, filepath.Join(os.Getenv("IDEM_LEDGER"), "locks")) {
		own = 1
	}
	return len(paths) - own
}

// inspectSpools looks for files of which no record knows, and counts the rest.
func (r *killing) inspectSpools(runs map[string]bool) int {
	entries, err := os.ReadDir(filepath.Join(r.ledger, "output"))
	if err != nil {
		r.complain(fault{promise: noUnreadable, what: err.Error(), at: -1})
	}
	for _, e := range entries {
		if !runs[e.Name()] {
			r.complain(fault{promise: noLeftovers, what: "output/" + e.Name(), at: -1})
		}
	}
	return len(entries)
}
