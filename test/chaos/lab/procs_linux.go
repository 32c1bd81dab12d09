package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Role is the role of a process of this test.
type Role int

const (
	RoleIdem    Role = iota // idem run, each or step
	RoleCommand             // the command
	RoleHelper              // a worker or daemon
	RoleOther               // another call of idem, such as list
)

// Process is a process of a test.
type Process struct {
	PID, Parent int
	Role        Role
	Call        string
	Run         string // of a process that idem started: the run ID
}

// Scan returns the processes of this test. They run idem or this program and have
// the directory of the test in their environment.
func (l *Lab) Scan() []Process {
	proc, err := os.Open("/proc")
	Must(err)
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	Must(err)
	var found []Process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			if p, ok := l.look(pid); ok {
				found = append(found, p)
			}
		}
	}
	// Between fork and exec a child still looks like its parent.
	byPID := map[int]Process{}
	for _, p := range found {
		byPID[p.PID] = p
	}
	for i, p := range found {
		if parent, ok := byPID[p.Parent]; ok && parent.Role == p.Role && p.Role <= RoleCommand {
			found[i].Role++
		}
	}
	return found
}

// look returns a process, if it belongs to this test and is alive.
func (l *Lab) look(pid int) (Process, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil || exe != l.Idem && exe != l.Self {
		return Process{}, false
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil || !bytes.Contains(environ, []byte(EnvLab+"="+l.Dir+"\x00")) {
		return Process{}, false
	}
	p := Process{PID: pid, Role: RoleOther}
	for kv := range bytes.SplitSeq(environ, []byte{0}) {
		if call, ok := bytes.CutPrefix(kv, []byte(EnvCall+"=")); ok {
			p.Call = string(call)
		}
		if run, ok := bytes.CutPrefix(kv, []byte("IDEM_RUN_ID=")); ok {
			p.Run = string(run)
		}
	}
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	args := strings.Split(string(cmdline), "\x00")
	switch {
	case len(args) < 2 || p.Call == "":
	case exe == l.Idem && (args[1] == "run" || args[1] == "each" || args[1] == "step"):
		p.Role = RoleIdem
	case exe == l.Self && strings.HasSuffix(args[1], "-command"):
		p.Role = RoleCommand
	case exe == l.Self:
		p.Role = RoleHelper
	}
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// PID (NAME) STATE PARENT ...; the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return Process{}, false
	}
	p.Parent, _ = strconv.Atoi(string(fields[1]))
	return p, true
}

// Kill kills a process unless its PID now belongs to another process. It calls
// first directly before the kill.
func (l *Lab) Kill(p Process, first func()) bool {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if now, ok := l.look(p.PID); !ok || now.Call != p.Call {
		return false
	}
	first()
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// killLeft kills the processes that have a variable in their environment, until there are
// none. Commands of idem each are not in the group of idem.
func killLeft(variable string) {
	for found := true; found; {
		found = false
		for _, name := range entries("/proc") {
			pid, err := strconv.Atoi(name)
			if err != nil || pid == os.Getpid() {
				continue
			}
			environ, _ := os.ReadFile(filepath.Join("/proc", name, "environ"))
			if bytes.Contains(environ, []byte(variable+"\x00")) {
				found = unix.Kill(pid, unix.SIGKILL) == nil || found
			}
		}
	}
}
