//go:build linux

// Package hosts imitates machines: each Host is a set of namespaces for processes, the
// network, mounts and the host name. A bridge connects them. The first process of a host
// is an agent, which starts programs on request. When the agent dies, the kernel kills
// every process of the host, as a power cut does. The agent ends with this program.
package hosts

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// control is the descriptor of the agent's socket.
const control = 3

// request asks the agent to start a program, or to send a signal to one.
type request struct {
	ID       int
	Args     []string
	Env      []string
	Out, Err string // files
	UID, GID uint32
	Signal   syscall.Signal // if not 0, send it to the program of this ID
	Group    bool           // to its process group
}

// report says that a program has been started, or that it has ended.
type report struct {
	ID, PID int
	Ended   bool
	Code    int // exit status; negative: died of that signal
	Err     string
}

// agent is the first process of a host.
type agent struct {
	mu      sync.Mutex
	started *sync.Cond
	out     *json.Encoder
	ids     map[int]int // by pid
	pids    map[int]int // by id
}

// Agent is the main function of the agent: NAME. It gets its requests on a socket, and
// ends with it.
func Agent(args []string) int {
	unix.CloseOnExec(control)
	socket := os.NewFile(control, "control")
	a := &agent{out: json.NewEncoder(socket), ids: map[int]int{}, pids: map[int]int{}}
	a.started = sync.NewCond(&a.mu)
	if err := settle(args[0]); err != nil {
		a.say(report{Err: err.Error()})
		return 1
	}
	a.say(report{})
	go a.reap()
	for in := json.NewDecoder(socket); ; {
		var r request
		if err := in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return 0
			}
			return 1
		}
		if r.Signal != 0 {
			a.signal(r)
		} else {
			a.start(r)
		}
	}
}

// settle makes the new namespaces of the agent usable. /mnt is empty and in memory.
func settle(name string) error {
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755"),
		unix.Sethostname([]byte(name)),
		exec.Command("ip", "link", "set", "lo", "up").Run(),
	)
}

func (a *agent) say(r report) { _ = a.out.Encode(r) } // without the other side, the agent ends anyway

func (a *agent) start(r request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pid, err := spawn(r)
	if err != nil {
		a.say(report{ID: r.ID, Err: err.Error()})
		return
	}
	a.ids[pid], a.pids[r.ID] = r.ID, pid
	a.say(report{ID: r.ID, PID: pid})
	a.started.Signal()
}

func spawn(r request) (int, error) {
	var files []uintptr
	for _, path := range []string{os.DevNull, r.Out, r.Err} {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		files = append(files, f.Fd())
	}
	path, err := exec.LookPath(r.Args[0])
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{Env: r.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if r.UID != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: r.UID, Gid: r.GID}
		attr.Dir = "/"
	}
	return syscall.ForkExec(path, r.Args, attr)
}

func (a *agent) signal(r request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pid, ok := a.pids[r.ID]; ok { // not reaped, so the number is still its own
		if r.Group {
			pid = -pid
		}
		_ = unix.Kill(pid, r.Signal)
	}
}

// reap waits for all processes, also for those whose parents have died.
func (a *agent) reap() {
	for {
		a.mu.Lock()
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if errors.Is(err, unix.ECHILD) {
			a.started.Wait()
			a.mu.Unlock()
			continue
		}
		a.mu.Unlock()
		// Wait without the lock until there is one to reap.
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			continue
		}
		a.mu.Lock()
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if id, ok := a.ids[pid]; err == nil && ok {
			code := ws.ExitStatus()
			if ws.Signaled() {
				code = -int(ws.Signal())
			}
			delete(a.ids, pid)
			delete(a.pids, id)
			a.say(report{ID: id, PID: pid, Ended: true, Code: code})
		}
		a.mu.Unlock()
	}
}
