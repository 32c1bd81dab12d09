package filelock

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/localdir"
)

// maxHolders is the maximum number of processes that Holders and Leftovers return. A
// message names all of them.
const maxHolders = 5

// Holders searches for the life lock in the descriptors of all processes whose /proc
// files this process may read (proc_pid_fdinfo(5)).
func (s *ofdLocks) Holders(n Name) []ledger.Process {
	var found []ledger.Process
	for _, pid := range s.find(n, maxHolders) {
		found = append(found, ledger.Process{PID: pid, Name: nameOfProcess(filepath.Join("/proc", strconv.Itoa(pid)))})
	}
	return found
}

// Every searches as Holders does.
func (s *ofdLocks) Every(n Name) []int { return s.find(n, math.MaxInt) }

func (s *ofdLocks) find(n Name, limit int) (pids []int) {
	file, ok := s.dir.Pinned("locks")
	if !ok {
		return nil
	}
	at := offset(n, Life)
	// The line to find: "lock:  1: OFDLCK ADVISORY  WRITE -1 fe:00:1234 4097 4097".
	lock := fmt.Sprintf(":%d %d %d", file.Inode, at, at)
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the only error is a bad pattern
	last := ""
	for _, fd := range fds {
		dir, number := filepath.Dir(filepath.Dir(fd)), filepath.Base(fd)
		var st unix.Stat_t
		if dir == last || unix.Stat(fd, &st) != nil || (localdir.Identity{Device: st.Dev, Inode: st.Ino}) != file {
			continue
		}
		info, err := os.ReadFile(filepath.Join(dir, "fdinfo", number))
		if err != nil || !hasLock(string(info), lock) {
			continue
		}
		last = dir
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if pids = append(pids, pid); len(pids) == limit {
			break
		}
	}
	return pids
}

func hasLock(info, lock string) bool {
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, "lock:") && strings.HasSuffix(strings.TrimRight(line, " \n"), lock) {
			return true
		}
	}
	return false
}
