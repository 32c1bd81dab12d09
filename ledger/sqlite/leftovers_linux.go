package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"idem/ledger"
)

// processesOf returns the processes that attempts' commands have, by run id: those
// whose environment says so, as it was when they were executed. Not found are a
// process whose environment was reset (sudo, env -i), that of another user, and
// one that this process may not look into (hidepid, a process namespace of its
// own).
func processesOf() map[string][]ledger.Process {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	found := map[string][]ledger.Process{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() { // we are the call, not what it waits for
			continue
		}
		runID := runIDOf(pid)
		if runID == "" || len(found[runID]) == maxHolders {
			continue
		}
		found[runID] = append(found[runID], ledger.Process{PID: pid, Name: nameOfProcess(filepath.Join("/proc", name))})
	}
	return found
}

// belongs reports whether a process still is one of an attempt's.
func belongs(pid int, runID string) bool { return runIDOf(pid) == runID }

// runIDOf returns the run id of the attempt that a process is a command of,
// empty if it is none or has ended.
func runIDOf(pid int) string {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil || !bytes.Contains(env, []byte(ledger.RunIDVar+"=")) {
		return ""
	}
	runID := ""
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		name, value, _ := strings.Cut(string(kv), "=")
		switch name {
		case ledger.RunIDVar:
			runID = value
		case ledger.EventVar:
			return ""
		}
	}
	return runID
}

// nameOfProcess returns the name of the process that dir in /proc is about.
func nameOfProcess(dir string) string {
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSuffix(string(name), "\n")
}
