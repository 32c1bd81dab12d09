package postgres

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// killAll kills those of the processes that find finds again.
//
// A process ID can belong to another process a moment later. So a process gets a descriptor,
// must be found again, and is killed through the descriptor.
func killAll(pids []int, find func() []int) {
	opened := map[int]int{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ENOSYS) { // Linux before 5.3
			fd, err = -1, nil
		}
		if err == nil {
			opened[pid] = fd
		}
	}
	again := find()
	for pid, fd := range opened {
		switch {
		case !slices.Contains(again, pid):
		case fd < 0:
			_ = unix.Kill(pid, unix.SIGKILL)
		default:
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// isHelper reports whether the arguments of a process are those of a copy of idem that leads
// the session of a command, see proc.Helper.
func isHelper(cmdline []byte) bool {
	return bytes.HasPrefix(cmdline, []byte("idem\x00__tty-leader\x00"))
}

// isKeeper reports whether the arguments of a process are those of a keeper. The keeper of a step
// does not belong to the command of which the step is a part.
func isKeeper(cmdline []byte) bool {
	return bytes.HasPrefix(cmdline, []byte(strings.Join(KeeperArgs, "\x00")+"\x00"))
}

// process is what the kernel tells of a process that lives.
type process struct {
	parent int
	began  uint64 // in ticks since the boot
}

// processes returns all processes that live, by their IDs. It returns none if the IDs in /proc are
// not those that this process knows, as with the /proc of another namespace.
func processes() map[int]process {
	all := map[int]process{}
	if self, _ := os.Readlink("/proc/self"); self != strconv.Itoa(os.Getpid()) {
		return all
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
			if p, lives := parseStat(stat); lives {
				all[pid] = p
			}
		}
	}
	return all
}

// parseStat reads /proc/PID/stat. It reports whether the process lives: a thread may outlive the
// first one, which is then a zombie.
func parseStat(stat []byte) (p process, lives bool) {
	// The name of the program is in parentheses, and may have any characters.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= statBegan || fields[0] == "X" || fields[0] == "Z" && len(fields[statThreads]) == 1 && fields[statThreads] <= "1" {
		return p, false
	}
	p.parent, _ = strconv.Atoi(fields[statParent])
	p.began, _ = strconv.ParseUint(fields[statBegan], 10, 64)
	return p, true
}

// withDescendants returns the processes of seen and of known that are in all, and all of their
// descendants, each with the time when it began. All was read before seen, so a process of seen
// that has an ID again is not in it, or is found again before it is killed. A process of known
// counts if it began at the time that known has. A child began no earlier than its parent.
func withDescendants(all map[int]process, seen []int, known map[int]uint64, spared func(pid int) bool) map[int]uint64 {
	family := map[int]uint64{}
	children := map[int][]int{}
	for pid, p := range all {
		if parent, lives := all[p.parent]; lives && p.began >= parent.began {
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	var add func(pid int)
	add = func(pid int) {
		p, lives := all[pid]
		if _, done := family[pid]; done || !lives || spared(pid) {
			return
		}
		if args, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); isKeeper(args) {
			return
		}
		family[pid] = p.began
		for _, child := range children[pid] {
			add(child)
		}
	}
	for _, pid := range seen {
		add(pid)
	}
	for pid, at := range known {
		if all[pid].began == at {
			add(pid)
		}
	}
	return family
}

// Fields of /proc/PID/stat after the name of the program, counted from 0.
const (
	statParent  = 1
	statThreads = 17
	statBegan   = 19
)
