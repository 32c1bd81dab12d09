package kill

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

	"idem/test/chaos/lab"
)

// checkLeftProcesses waits for the last processes and reports those that remain.
func (r *killTest) checkLeftProcesses() {
	deadline := time.Now().Add(lab.ExitWithin)
	rest := r.scan()
	for len(rest) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		rest = r.scan()
	}
	for _, p := range rest {
		r.fail(lab.Fault{Promise: noLeftovers, Key: p.call, What: fmt.Sprintf("process %d is still alive", p.pid), At: -1})
		_ = r.killProcess(p, func() {})
	}
}

// ledgerFiles are the files of a ledger that no process uses.
var ledgerFiles = []string{"README", "init.lock", "ledger.db", "ledger.db-shm", "ledger.db-wal", "locks", "output"}

// checkLeftFiles reports files in the ledger and among the temporary files, open
// descriptors, and locks that remain after the last process of idem.
func (r *killTest) checkLeftFiles() {
	complain := func(format string, args ...any) {
		r.fail(lab.Fault{Promise: noLeftovers, What: fmt.Sprintf(format, args...), At: -1})
	}
	for _, name := range entries(r.ledger) {
		if !slices.Contains(ledgerFiles, name) {
			complain("%s in the ledger", name)
		}
	}
	for _, name := range entries(r.tmp()) {
		complain("%s among the temporary files", name)
	}
	for _, pid := range entries("/proc") {
		for _, path := range openFiles(pid, r.ledger) {
			complain("process %s has %s open", pid, path)
		}
	}
	for _, name := range []string{"init.lock", "locks", "ledger.db", "ledger.db-shm"} {
		for _, line := range kernelLocks(filepath.Join(r.ledger, name)) {
			complain("%s is locked: %s", name, line)
		}
	}
}

// entries returns the names in a directory, none if it does not exist.
func entries(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// openFiles returns the files of a directory that a process has open.
func openFiles(pid, dir string) (paths []string) {
	fds := filepath.Join("/proc", pid, "fd")
	for _, fd := range entries(fds) {
		if path, err := os.Readlink(filepath.Join(fds, fd)); err == nil && strings.HasPrefix(path, dir+"/") {
			paths = append(paths, path)
		}
	}
	return paths
}

// kernelLocks returns the lines of /proc/locks for a file.
func kernelLocks(path string) (lines []string) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return nil
	}
	all, err := os.ReadFile("/proc/locks")
	lab.Must(err)
	file := fmt.Sprintf(" %02x:%02x:%d ", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range bytes.SplitSeq(all, []byte("\n")) {
		if bytes.Contains(line, []byte(file)) {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// extraDescriptors counts the descriptors of the ledger that this process, a command
// run by idem, has in addition to the one that keeps its key locked.
func extraDescriptors() int {
	own := 0
	paths := openFiles(strconv.Itoa(os.Getpid()), os.Getenv("IDEM_LEDGER"))
	if slices.Contains(paths, filepath.Join(os.Getenv("IDEM_LEDGER"), "locks")) {
		own = 1
	}
	return len(paths) - own
}

// checkSpools reports files of recorded output without a record. It returns the number of
// files with one.
func (r *killTest) checkSpools(runs map[string]bool) int {
	entries, err := os.ReadDir(filepath.Join(r.ledger, "output"))
	if err != nil {
		r.fail(lab.Fault{Promise: noUnreadable, What: err.Error(), At: -1})
	}
	for _, e := range entries {
		if !runs[e.Name()] {
			r.fail(lab.Fault{Promise: noLeftovers, What: "output/" + e.Name(), At: -1})
		}
	}
	return len(entries)
}
