//go:build !linux

package proc

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a child of this process.
type process struct {
	pid int
	os  *os.Process
}

func newProcess(pid, _ int) *process {
	p, err := os.FindProcess(pid)
	if err != nil {
		panic(err) // documented never to happen on Unix
	}
	return &process{pid, p}
}

// wait waits for the end of this child only. A wait for any child would take the
// status of other children.
func (p *process) wait() (syscall.WaitStatus, error) {
	state, err := p.os.Wait()
	if err != nil {
		return 0, err
	}
	return state.Sys().(syscall.WaitStatus), nil
}

// signal sends sig to the child. With group, it sends sig to the process group that
// the child leads, if it leads one. It returns false and sends nothing if the child
// has been reaped.
func (p *process) signal(sig syscall.Signal, group bool) bool {
	if p.os.Signal(syscall.Signal(0)) != nil {
		return false
	}
	if group && killOwnGroup(p.pid, sig) {
		return true
	}
	return p.os.Signal(sig) == nil
}

// queue sends a signal without its value, because these systems have no call for it.
func (p *process) queue(a arrival) { p.signal(a.sig, false) }

// hasEnded reports whether the child has been reaped.
func (p *process) hasEnded() bool { return p.os.Signal(syscall.Signal(0)) != nil }

// The pump never waits for the process on these systems, see canPollProcess.

func openProcess(*syscall.SysProcAttr, *int) {}

func (p *process) poll([]unix.PollFd) (await, end func()) { panic("no process can be polled") }

func (p *process) reap() (syscall.WaitStatus, bool, error) { panic("no process can be polled") }
