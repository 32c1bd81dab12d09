package kill

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// role is the role of a process of this test.
type role int

const (
	roleIdem    role = iota // idem run
	roleCommand             // the command
	roleHelper              // a worker or daemon
	roleOther               // another call of idem, such as list
)

// process is a process of this test.
type process struct {
	pid, parent int
	role        role
	call        string
}

// scan returns the processes of this test. They run idem or this program and have
// the directory of the test in their environment.
func (r *killTest) scan() []process {
	proc, err := os.Open("/proc")
	lab.Must(err)
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	lab.Must(err)
	var found []process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			if p, ok := r.look(pid); ok {
				found = append(found, p)
			}
		}
	}
	// Between fork and exec a child still looks like its parent.
	byPID := map[int]process{}
	for _, p := range found {
		byPID[p.pid] = p
	}
	for i, p := range found {
		if parent, ok := byPID[p.parent]; ok && parent.role == p.role && p.role <= roleCommand {
			found[i].role++
		}
	}
	return found
}

// look returns a process, if it belongs to this test and is alive.
func (r *killTest) look(pid int) (process, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil || exe != r.Idem && exe != r.Self {
		return process{}, false
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil || !bytes.Contains(environ, []byte(lab.EnvLab+"="+r.Dir+"\x00")) {
		return process{}, false
	}
	p := process{pid: pid, role: roleOther}
	for kv := range bytes.SplitSeq(environ, []byte{0}) {
		if call, ok := bytes.CutPrefix(kv, []byte(lab.EnvCall+"=")); ok {
			p.call = string(call)
		}
	}
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	args := strings.Split(string(cmdline), "\x00")
	switch {
	case len(args) < 2 || p.call == "":
	case exe == r.Idem && args[1] == "run":
		p.role = roleIdem
	case exe == r.Self && args[1] == "locked-command":
		p.role = roleCommand
	case exe == r.Self:
		p.role = roleHelper
	}
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// PID (NAME) STATE PARENT ...; the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return process{}, false
	}
	p.parent, _ = strconv.Atoi(string(fields[1]))
	return p, true
}

// killProcess kills a process unless its PID now belongs to another process. It calls
// first directly before the kill.
func (r *killTest) killProcess(p process, first func()) bool {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if now, ok := r.look(p.pid); !ok || now.call != p.call {
		return false
	}
	first()
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}
