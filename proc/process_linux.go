package proc

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is a child of ours. It is not an os.Process, because that one first
// tries out with a child of its own what the kernel can do, which costs as much
// as the start of the command.
type process struct {
	pid int

	mu     sync.Mutex
	reaped bool // from here on the number may be another process's
}

func newProcess(pid int) *process { return &process{pid: pid} }

// wait waits for the end of the child, of this one alone: a wait for any would
// steal those of others.
func (p *process) wait() (syscall.WaitStatus, error) {
	for { // without reaping it, so that a signal may still be on its way
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

// signal sends sig to the child or, with group, to the process group that it
// leads if it does. A child that has ended gets none, and the answer is false:
// it would take a signal as long as it is not reaped.
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
	var end unix.Siginfo // stays zero when it has not
	return unix.Waitid(unix.P_PID, p.pid, &end, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) == nil && end.Signo != 0
}
