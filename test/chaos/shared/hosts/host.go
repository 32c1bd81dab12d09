//go:build linux

package hosts

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host is a machine that is switched on.
type Host struct {
	Name string
	PID  int // of the agent

	cmd    *exec.Cmd
	socket net.Conn
	out    *json.Encoder
	pids   string // the name of its namespace of processes

	mu    sync.Mutex
	last  int
	procs map[int]*Proc
	off   bool
}

// Program is a program to start on a host.
type Program struct {
	Args     []string
	Env      []string
	Out, Err string // files, to which the output is appended
	UID, GID uint32
}

// Proc is a program that was started on a host.
type Proc struct {
	host    *Host
	id      int
	started chan error
	done    chan struct{}
	code    int
}

// Dead is the code of a program whose host was switched off. It may have ended before.
const Dead = -1001

// On switches a host on. child makes a command that runs Agent with the given arguments.
func On(name string, child func(args ...string) *exec.Cmd) (*Host, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "agent"), os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	defer ours.Close()
	h := &Host{Name: name, cmd: child(name), procs: map[int]*Proc{}}
	if h.socket, err = net.FileConn(ours); err != nil {
		return nil, err
	}
	h.cmd.ExtraFiles = []*os.File{theirs}
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := h.cmd.Start(); err != nil {
		_ = h.socket.Close()
		return nil, err
	}
	h.PID = h.cmd.Process.Pid
	h.out = json.NewEncoder(h.socket)
	in := json.NewDecoder(h.socket)
	var r report
	if err := in.Decode(&r); err != nil || r.Err != "" {
		h.Off()
		return nil, fmt.Errorf("host %s: %v %s", name, err, r.Err)
	}
	if h.pids, err = os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", h.PID)); err != nil {
		h.Off()
		return nil, err
	}
	go h.listen(in)
	return h, nil
}

// listen passes reports on until the host is off. Then all of its programs are dead.
func (h *Host) listen(in *json.Decoder) {
	for {
		var r report
		err := in.Decode(&r)
		h.mu.Lock()
		if err != nil {
			h.off = true
			for id := range h.procs {
				h.end(id, Dead, fmt.Errorf("host %s is off", h.Name))
			}
			h.mu.Unlock()
			return
		}
		switch {
		case r.Ended:
			h.end(r.ID, r.Code, nil)
		case r.Err != "":
			h.end(r.ID, Dead, fmt.Errorf("host %s: %s", h.Name, r.Err))
		default:
			h.procs[r.ID].started <- nil
		}
		h.mu.Unlock()
	}
}

func (h *Host) end(id, code int, err error) {
	p := h.procs[id]
	if p == nil {
		return
	}
	delete(h.procs, id)
	p.code = code
	select {
	case p.started <- err:
	default:
	}
	close(p.done)
}

// Start starts a program. It returns an error if the program cannot be executed, or if
// the host is off.
func (h *Host) Start(what Program) (*Proc, error) {
	for _, f := range []*string{&what.Out, &what.Err} {
		if *f == "" {
			*f = os.DevNull
		}
	}
	h.mu.Lock()
	if h.off {
		h.mu.Unlock()
		return nil, fmt.Errorf("host %s is off", h.Name)
	}
	h.last++
	p := &Proc{host: h, id: h.last, started: make(chan error, 1), done: make(chan struct{})}
	h.procs[p.id] = p
	err := h.out.Encode(request{ID: p.id, Args: what.Args, Env: what.Env, Out: what.Out, Err: what.Err, UID: what.UID, GID: what.GID})
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return p, <-p.started
}

// Run starts a program and waits for its end.
func (h *Host) Run(what Program) (int, error) {
	p, err := h.Start(what)
	if err != nil {
		return Dead, err
	}
	return p.Wait(), nil
}

// Wait waits for the end of the program. It returns its exit status, or the negative
// number of the signal that it died of.
func (p *Proc) Wait() int {
	<-p.done
	return p.code
}

// Done is closed when the program has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the program, or to its process group.
func (p *Proc) Signal(s syscall.Signal, group bool) {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	_ = p.host.out.Encode(request{ID: p.id, Signal: s, Group: group}) // a host that is off has no program
}

// Off switches the host off: the kernel kills all of its processes.
func (h *Host) Off() {
	h.mu.Lock()
	h.off = true
	h.mu.Unlock()
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
	_ = h.socket.Close()
}

// Path returns the path under which this program finds a file in the host's /mnt.
func (h *Host) Path(name ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(h.PID), "root", "mnt"}, name...)...)
}
