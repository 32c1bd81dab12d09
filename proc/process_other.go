//go:build !linux

package proc

import (
	"os"
	"syscall"
)

// process is a child of ours.
type process struct {
	pid int
	os  *os.Process
}

func newProcess(pid int) *process {
	p, err := os.FindProcess(pid)
	if err != nil {
		panic(err) // documented never to happen on Unix
	}
	return &process{pid, p}
}

// wait waits for the end of the child, of this one alone: a wait for any would
// steal those of others.
func (p *process) wait() (syscall.WaitStatus, error) {
	state, err := p.os.Wait()
	if err != nil {
		return 0, err
	}
	return state.Sys().(syscall.WaitStatus), nil
}

// signal sends sig to the child or, with group, to the process group that it
// leads if it does. A child that has been reaped gets none, and the answer is
// false.
func (p *process) signal(sig syscall.Signal, group bool) bool {
	if p.os.Signal(syscall.Signal(0)) != nil {
		return false
	}
	if group && killOwnGroup(p.pid, sig) {
		return true
	}
	return p.os.Signal(sig) == nil
}

// queue sends a signal without its value, which there is no call for.
func (p *process) queue(a arrival) { p.signal(a.sig, false) }

// hasEnded reports whether the child has been reaped.
func (p *process) hasEnded() bool { return p.os.Signal(syscall.Signal(0)) != nil }
