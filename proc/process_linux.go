package proc

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// process is a child of this process. It is not an os.Process, which first starts a
// child to find out what the kernel supports. This costs as much as the start of the
// command.
type process struct {
	pid int
	fd  int // refers to it, until poll has ended; -1 if there is none

	mu     sync.Mutex
	reaped bool // another process may have the pid now
}

// newProcess returns the process with a pid. fd is a descriptor that refers to it, or -1.
func newProcess(pid, fd int) *process { return &process{pid: pid, fd: fd} }

// openProcess makes a start with sys set fd to a descriptor that refers to the child.
func openProcess(sys *syscall.SysProcAttr, fd *int) { sys.PidFD = fd }

// poll returns a function that waits until reap may succeed or one of fds is ready. It uses
// the last element of fds for the process. The caller calls end after the last wait, before
// it closes the other descriptors.
func (p *process) poll(fds []unix.PollFd) (await, end func()) {
	at := newPoller()
	others, process := fds[:len(fds)-1], &fds[len(fds)-1]
	process.Fd = int32(p.fd)
	await = func() {
		if p.fd >= 0 && process.Revents == 0 {
			at.await(fds)
			return
		}
		// This kernel has no such descriptors after all, or the process has ended and a
		// debugger still keeps it.
		fdio.Await(others, reapInterval)
		process.Revents = unix.POLLIN
	}
	return await, func() {
		at.end()
		if p.fd >= 0 {
			_ = unix.Close(p.fd)
			p.fd = -1
		}
	}
}

// reapInterval is the time in milliseconds between two calls of reap if no descriptor says
// when it will succeed.
const reapInterval = 10

// reap returns the status of the child if it has ended.
func (p *process) reap() (status syscall.WaitStatus, ended bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		pid, err := syscall.Wait4(p.pid, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		p.reaped = pid != 0 || err != nil
		return status, p.reaped, err
	}
}

// wait waits for the end of this child only. A wait for any child would take the
// status of other children.
func (p *process) wait() (syscall.WaitStatus, error) {
	for { // without reaping the child, because signal may be using its pid
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return 0, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(p.pid, &status, 0, nil); err != syscall.EINTR {
			return status, err
		}
	}
}

// signal sends sig to the child. With group, it sends sig to the process group that
// the child leads, if it leads one. It returns false and sends nothing if the child
// has ended. The kernel itself would accept the signal until the child is reaped.
func (p *process) signal(sig syscall.Signal, group bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over() {
		return false
	}
	if group && killOwnGroup(p.pid, sig) {
		return true
	}
	return unix.Kill(p.pid, sig) == nil
}

// queue sends a signal with its value.
func (p *process) queue(a arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over() {
		_, _, _ = unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(p.pid), uintptr(a.sig), uintptr(unsafe.Pointer(a.queued)))
	}
}

// hasEnded reports whether the child has ended.
func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over()
}

func (p *process) over() bool {
	if p.reaped {
		return true
	}
	var end unix.Siginfo // stays zero if the child has not ended
	return unix.Waitid(unix.P_PID, p.pid, &end, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) == nil && end.Signo != 0
}
