package filelock

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"idem/ledger"
)

// AllLeftovers returns the processes of attempts' commands, by run ID. A process
// belongs to an attempt if its environment at exec names the attempt. The environment
// also names the attempts inside of which the process's own attempt runs.
//
// It does not find:
//   - a process whose environment was reset (sudo, env -i);
//   - a process of another user;
//   - a process that is hidden from this one (hidepid, another process namespace).
func AllLeftovers() map[string][]ledger.Process {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	found := map[string][]ledger.Process{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() { // this process is the call that asks
			continue
		}
		runIDs := runIDsOf(pid)
		if len(runIDs) == 0 {
			continue
		}
		p := ledger.Process{PID: pid, Name: nameOfProcess(filepath.Join("/proc", name))}
		for _, runID := range runIDs {
			if len(found[runID]) < maxHolders {
				found[runID] = append(found[runID], p)
			}
		}
	}
	return found
}

// MembersOf returns the IDs of all processes of an attempt's command, which are found as
// AllLeftovers finds them.
func MembersOf(runID string) (pids []int) {
	names, _ := os.ReadDir("/proc")
	for _, entry := range names {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() && belongs(pid, runID) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// belongs reports whether a process is still one of an attempt's command.
func belongs(pid int, runID string) bool { return slices.Contains(runIDsOf(pid), runID) }

// runIDsOf returns the run IDs of the attempts in whose commands a process runs: its
// own attempt, and those inside of which that one runs. For a process that has ended,
// it returns nil.
func runIDsOf(pid int) []string {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil || !bytes.Contains(env, []byte(ledger.RunIDVar+"=")) && !bytes.Contains(env, []byte(ledger.ChainVar+"=")) {
		return nil
	}
	var runID string
	var chain []string
	event := false
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		name, value, _ := strings.Cut(string(kv), "=")
		switch name {
		case ledger.RunIDVar:
			runID = value
		case ledger.ChainVar:
			chain = strings.Split(value, ":")
		case ledger.EventVar:
			event = true
		}
	}
	var runIDs []string
	if runID != "" && !event {
		runIDs = append(runIDs, runID)
	}
	for i, link := range chain {
		if link != "" && link != runID && (i == 0 || chain[i-1] != ledger.ForEvent) {
			runIDs = append(runIDs, link)
		}
	}
	return runIDs
}

// nameOfProcess returns the name of the process with the directory dir in /proc.
func nameOfProcess(dir string) string {
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSuffix(string(name), "\n")
}
