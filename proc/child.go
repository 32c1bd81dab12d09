package proc

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is the process of one Run.
type child struct {
	proc    *process
	group   bool          // it was started in a separate process group
	signals *Signals      // may be nil
	tty     *tty          // nil without Command.TTY; with it, proc is the leader of tty
	early   []arrival     // signals that came while the child was being started; guarded by Signals.mu
	ended   chan struct{} // closed when the child has been reaped

	mu      sync.Mutex
	stopped Stop // why stopAtEndOf sent TERM to a child that had not ended

	// These fields are valid when ended is closed.
	status Status
	err    error
}

// wait reaps the child. It writes a byte to wake each time that the child has
// stopped.
//
// A signal for the process group of idem may end the leader of a terminal before the
// leader has left the group. No command was started then, so the status is that of
// the leader.
func (k *child) wait(wake int) {
	defer close(k.ended)
	if k.tty != nil && k.tty.ready {
		k.status, k.err = k.tty.wait(wake)
		return
	}
	ws, err := k.proc.wait()
	switch {
	case err != nil:
		k.err = os.NewSyscallError("wait", err)
	case k.tty != nil && !ws.Signaled():
		k.err = errLeaderGone
	default:
		k.status = statusOf(ws)
	}
}

// reap is wait for a child that nothing else waits for, except that it does not wait. It
// reports whether the child has ended.
func (k *child) reap() bool {
	ws, ended, err := k.proc.reap()
	if !ended {
		return false
	}
	if err != nil {
		k.err = os.NewSyscallError("wait", err)
	} else {
		k.status = statusOf(ws)
	}
	close(k.ended)
	return true
}

func statusOf(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{ExitCode: 128 + int(ws.Signal()), Signal: ws.Signal()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

// stopAtEndOf sends TERM to the child when the context is done, or when limit has
// passed unless limit is 0. It sends KILL after killAfter, unless that is 0.
func (k *child) stopAtEndOf(ctx context.Context, limit, killAfter time.Duration) {
	var over <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		over = t.C
	}
	var why Stop
	select {
	case <-k.ended:
		return
	case <-ctx.Done():
		why = ByContext
	case <-over:
		why = ByTimeout
	}
	k.mu.Lock() // set stopped before the child can end
	if k.kill(syscall.SIGTERM) {
		k.stopped = why
	}
	k.mu.Unlock()
	k.kill(syscall.SIGCONT) // a stopped child does not handle TERM
	if killAfter <= 0 {
		return
	}
	t := time.NewTimer(killAfter)
	defer t.Stop()
	select {
	case <-k.ended:
	case <-t.C:
		k.kill(syscall.SIGKILL)
	}
}

// wasStopped returns why stopAtEndOf ended a child that has ended.
func (k *child) wasStopped() Stop {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tty != nil && !k.tty.gotTerm {
		return NotStopped
	}
	return k.stopped
}

// hasEnded reports whether the child is known to have ended. A signal cannot reach it
// then.
func (k *child) hasEnded() bool {
	select {
	case <-k.ended:
		return true
	default:
		return k.tty == nil && k.proc.hasEnded()
	}
}

// signal passes a signal on to the child alone. With a terminal, the leader passes it
// on to the command's process group.
func (k *child) signal(a arrival) {
	switch {
	case k.tty != nil:
		k.tty.signal(a.sig)
	case a.queued != nil:
		k.proc.queue(a)
	default:
		k.proc.signal(a.sig, false)
	}
}

// kill sends sig to the child, and to its process group if the child leads one. The
// group in which the child was started belongs to the caller and gets no signal. kill
// returns false if the child had ended. With a terminal it always returns true,
// because only the leader knows.
func (k *child) kill(sig syscall.Signal) bool {
	if k.tty != nil {
		k.tty.signal(sig)
		return true
	}
	return k.proc.signal(sig, true)
}

// killOwnGroup sends sig to the process group that pid leads. It returns false if pid
// does not lead one.
func killOwnGroup(pid int, sig syscall.Signal) bool {
	g, err := unix.Getpgid(pid)
	return err == nil && g == pid && unix.Kill(-pid, sig) == nil
}
