package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ledgerFiles are the files of a ledger that no process uses.
var ledgerFiles = []string{"README", "init.lock", "ledger.db", "ledger.db-shm", "ledger.db-wal", "locks", "output", "receipts"}

// LeftFiles reports files in a ledger and in a directory of temporary files, open
// descriptors, and locks that remain after the last process of idem.
func LeftFiles(ledger, tmp string) (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, name := range entries(ledger) {
		if !slices.Contains(ledgerFiles, name) {
			complain("%s in the ledger", name)
		}
	}
	for _, name := range entries(tmp) {
		complain("%s among the temporary files", name)
	}
	for _, pid := range entries("/proc") {
		for _, path := range OpenFiles(pid, ledger) {
			complain("process %s has %s open", pid, path)
		}
	}
	for _, name := range []string{"init.lock", "locks", "ledger.db", "ledger.db-shm"} {
		for _, line := range kernelLocks(filepath.Join(ledger, name)) {
			complain("%s is locked: %s", name, line)
		}
	}
	return faults
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

// OpenFiles returns the files of a directory that a process has open.
func OpenFiles(pid, dir string) (paths []string) {
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
	Must(err)
	file := fmt.Sprintf(" %02x:%02x:%d ", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range bytes.SplitSeq(all, []byte("\n")) {
		if bytes.Contains(line, []byte(file)) {
			lines = append(lines, string(line))
		}
	}
	return lines
}
