//go:build linux

package hosts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is a process of a host.
type Process struct {
	PID    int // as this program sees it
	Parent int
	Exe    string
	Args   []string
	Env    []string
	State  byte // as in /proc/PID/stat
	start  string
}

// Getenv returns a variable of the process's environment at its start.
func (p Process) Getenv(name string) string {
	for _, kv := range p.Env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

func (p Process) String() string {
	return fmt.Sprintf("process %d (parent %d, state %c, %s)", p.PID, p.Parent, p.State, strings.Join(p.Args, " "))
}

// Scan returns the processes of the host without its agent and without dead ones.
func (h *Host) Scan() []Process {
	h.mu.Lock()
	off := h.off
	h.mu.Unlock()
	if off { // a new host may have got the name of its namespace
		return nil
	}
	dir, err := os.Open("/proc")
	if err != nil {
		panic(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		panic(err)
	}
	var found []Process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != h.PID {
			if p, ok := h.look(pid); ok {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, func(a, b Process) int { return a.PID - b.PID })
	return found
}

func (h *Host) look(pid int) (Process, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if space, err := os.Readlink(filepath.Join(dir, "ns/pid")); err != nil || space != h.pids {
		return Process{}, false
	}
	p := Process{PID: pid}
	p.Exe, _ = os.Readlink(filepath.Join(dir, "exe"))
	p.Args = words(filepath.Join(dir, "cmdline"))
	p.Env = words(filepath.Join(dir, "environ"))
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// PID (NAME) STATE PARENT ...; the name may hold anything. The 20th of these is the start time.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return Process{}, false
	}
	p.State, p.start = fields[0][0], string(fields[19])
	p.Parent, _ = strconv.Atoi(string(fields[1]))
	return p, true
}

func words(path string) []string {
	b, _ := os.ReadFile(path)
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// Signal sends a signal to a process of the host, unless its PID now belongs to another
// process. It calls first directly before.
func (h *Host) Signal(p Process, s unix.Signal, first func()) bool {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if now, ok := h.look(p.PID); !ok || now.start != p.start {
		return false
	}
	if first != nil {
		first()
	}
	return unix.PidfdSendSignal(fd, s, nil, 0) == nil
}
