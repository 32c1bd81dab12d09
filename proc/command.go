// Package proc runs a child process as if idem were not there, with a copy of
// its output: pipes, signals, exit status.
//
// The child keeps the caller's stdin, terminal, process group, environment,
// working directory, umask, limits and descriptors. Only its stdout and stderr
// are pipes, read by one loop, which hands every read first to Record and then
// to a live copy that may lag behind but never holds the child up for long.
//
// A run ends when the child itself has ended. What the child wrote before its
// end is always complete, whoever else holds the pipes, and what a filter of
// its own still passes on in the half second after it. What a background
// process of the child writes later is not: the read ends are closed then, and
// such a process gets SIGPIPE, as it would from a reader that went away. A
// daemon that is to outlive the run must send its output elsewhere.
package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stream names one of a command's two outputs.
type Stream = int

// The streams, by their descriptor numbers.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Command is one execution of a program. Its fields are not changed by Run.
type Command struct {
	Path string   // the file to execute, from LookPath
	Args []string // argv; Args[0] is what the user typed
	Env  []string // nil: the environment of this process

	// Stdin is handed over as it is; nothing is read from it here. Nil means
	// this process's own. Stdout and Stderr get the live copy; nil means none.
	// Their descriptors' flags are never changed.
	Stdin, Stdout, Stderr *os.File

	// Joined gives the command one pipe as its stdout and stderr. All that it
	// writes is its Stdout then, in the order of writing; there is no Stderr. It
	// has no effect with TTY.
	Joined bool

	// Inherit are descriptors that the command gets in addition, on numbers
	// from 277 (lower only where the limits forbid that), so that no script
	// stumbles over them.
	Inherit []*os.File

	// Record is called with everything that the command writes, in the order of
	// arrival, by one goroutine and never after Run has returned. It must not
	// keep p. While it works the command may have to wait. Nil means none.
	Record func(stream Stream, p []byte)

	// Backlog makes a place, gone with Close, for output that the
	// reader of Stdout or Stderr does not take. It is called at most once for
	// each. Without it, or when it fails, the command waits for the reader.
	Backlog func() (Backlog, error)

	// Earlier is a run with the same Stdout, Stderr and Backlog whose live copy may
	// lag. That of this run comes behind it, and is flushed with it.
	Earlier *End

	// OwnGroup puts the command into a process group of its own, so that ending
	// it ends its children too, and passes signals on to all of the group. It
	// has no effect while we are in the terminal's foreground, where the command
	// must stay to read from it.
	OwnGroup bool

	// TTY gives the command a pseudo-terminal as its stdin, stdout, stderr and
	// controlling terminal. What it shows there, the echo of what is typed
	// included, is its Stdout; there is no Stderr. Stdin is read and passed on:
	// from a terminal, which is raw meanwhile and gets its modes back whatever
	// happens (but not after a KILL of this process), and from anything else
	// until its end. The command is in a session and a process group of its own,
	// and OwnGroup has no meaning. See Helper.
	TTY bool

	// Timeout is how long after its start the command gets TERM, as at the end of
	// the context. Zero: never.
	Timeout time.Duration

	// KillAfter is how long after that TERM the command is killed. Zero: never.
	KillAfter time.Duration
}

// Backlog is what Command needs of such a place: it is an *os.File, or one that
// takes less. From a write that fails on, the command waits for the reader.
type Backlog interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// Status is how a command ended.
type Status struct {
	ExitCode int            // 128+n after a death by signal n
	Signal   syscall.Signal // 0: it exited by itself
	// Typed tells that the signal came from a key, so that all who share our
	// terminal should have it: with a terminal of its own, the command got it alone.
	Typed bool
}

// End is a command that has ended.
type End struct {
	Status
	// StoppedBy is why the command was told to end, if it had not ended by then.
	StoppedBy Stop
	// Open reports whether a process that the command has left behind could still
	// write to stdout or stderr when Run stopped reading them. Its last lines may
	// then be missing.
	Open bool
	// Unread counts, by stream, the bytes that were written and that Run has left
	// unread: there were more than it waits for.
	Unread [Stderr + 1]int64

	signals *Signals
	tees    [2]*tee
}

// Stop is why a command was told to end.
type Stop int

// The reasons.
const (
	NotStopped Stop = iota
	ByTimeout       // its time was over
	ByContext       // the context was done
)

// LostError says that the command ran but nobody knows how it ended.
type LostError struct{ Err error }

func (e *LostError) Error() string {
	return fmt.Sprintf("the exit status of the command is lost: %v", e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Run starts the command and returns when it has ended and everything that it
// wrote has been passed to Record. The live copy may lag: Flush waits for it, and
// is to be called unless another Run goes on with it.
//
// While the command runs, s passes signals on to it; s may be nil, and may
// serve several Runs at once. When ctx is done or Timeout over, the command gets
// TERM, and KILL after KillAfter.
//
// Nothing ran if the error is a *StartError, a *SignalError (a fatal signal had
// come before) or the context's own; there is no End then. A *LostError comes
// with an End.
func (c *Command) Run(ctx context.Context, s *Signals) (*End, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	k := &child{ended: make(chan struct{})}
	if err := s.enter(k); err != nil {
		return nil, err
	}
	defer s.leave(k)

	if c.TTY {
		t, err := openTTY(c)
		if err != nil {
			return nil, &StartError{Name: c.name(), Code: CannotRun, Err: err}
		}
		defer t.close()
		k.tty = t
	}
	p, err := newPump(c, k.tty)
	if err != nil {
		k.tty.close()
		k.tty.discard()
		return nil, &StartError{Name: c.name(), Code: CannotRun, Err: err}
	}
	stderr := p.err.writeEnd
	if c.Joined {
		stderr = p.out.writeEnd
	}
	err = c.start(ctx, k, p.out.writeEnd, stderr)
	p.closeWriteEnds()
	if err != nil {
		k.tty.close()
		p.close()
		_ = unix.Close(p.wake)
		return nil, err
	}
	s.started(k)

	go func() {
		k.wait(p.wake)
		_ = unix.Close(p.wake) // tells the pump
	}()
	go k.stopAtEndOf(ctx, c.Timeout, c.KillAfter)
	k.tty.begin()
	p.run(k.ended)
	raw := k.tty.raw()
	k.tty.end(p.out.tee)
	p.close()
	k.tty.reap(k.proc)
	<-k.ended // it is, but only this makes its fields visible here

	k.status.Typed = raw && (k.status.Signal == unix.SIGINT || k.status.Signal == unix.SIGQUIT)
	e := &End{Status: k.status, StoppedBy: k.wasStopped(), signals: s, tees: [2]*tee{p.out.tee, p.err.tee}}
	for _, s := range []*source{p.out, p.err} {
		e.Open = e.Open || s.open
		e.Unread[s.stream] = s.unread
	}
	if k.err != nil {
		return e, &LostError{k.err}
	}
	return e, nil
}

// Flush waits until the readers of stdout and stderr have everything or are
// gone, or until a fatal signal comes (see Signals.Fatal). It returns what kept
// a copy from being complete; that a reader has gone is not an error.
func (e *End) Flush() []error { return e.flush(e.signals.Done()) }

// flush is Flush that ends early when cut is closed.
func (e *End) flush(cut <-chan struct{}) []error {
	var errs []error
	for _, t := range e.tees {
		if !t.close() {
			continue
		}
		select {
		case <-t.done:
		case <-cut:
		}
		if err := t.fault(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Settle waits a moment for readers that keep up, before somebody else writes to
// where they read.
func (e *End) Settle() {
	for _, t := range e.tees {
		t.settle(settling)
	}
}

func (c *Command) name() string {
	if len(c.Args) > 0 {
		return c.Args[0]
	}
	return c.Path
}

// child is the process of one Run.
type child struct {
	proc  *process
	group bool          // it was put into a group of its own
	tty   *tty          // nil without Command.TTY; then proc is its leader
	early []arrival     // came while the child was being started; guarded by Signals.mu
	ended chan struct{} // closed when the child has been reaped

	mu      sync.Mutex
	stopped Stop // by stopAtEndOf, to which it was there

	// Valid when ended is closed.
	status Status
	err    error
}

// wait reaps the child. A byte in wake tells that it has stopped.
//
// A signal for our process group may end the leader of a terminal before it has
// left the group. No command was started then, and its end is that of the leader.
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

func statusOf(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{ExitCode: 128 + int(ws.Signal()), Signal: ws.Signal()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

// stopAtEndOf tells the child to end when the context is done, or when limit is
// over, if that is not 0.
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
	k.mu.Lock() // before it can end of it
	if k.kill(syscall.SIGTERM) {
		k.stopped = why
	}
	k.mu.Unlock()
	k.kill(syscall.SIGCONT) // a stopped child would not see the TERM
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

// wasStopped returns, of a child that has ended, why stopAtEndOf told it to.
func (k *child) wasStopped() Stop {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tty != nil && !k.tty.gotTerm {
		return NotStopped
	}
	return k.stopped
}

// hasEnded reports whether the child is known to have ended: no signal can
// reach it then.
func (k *child) hasEnded() bool {
	select {
	case <-k.ended:
		return true
	default:
		return k.tty == nil && k.proc.hasEnded()
	}
}

// signal passes a signal on to the child alone, if it is in our process group.
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

// kill signals the child, and with it its process group if it leads one. The
// group it was born into is the caller's and none of our business. It returns
// false when the child had ended, as far as can be told without asking a leader.
func (k *child) kill(sig syscall.Signal) bool {
	if k.tty != nil {
		k.tty.signal(sig)
		return true
	}
	return k.proc.signal(sig, true)
}

// killOwnGroup signals the process group that pid leads, if it leads one.
func killOwnGroup(pid int, sig syscall.Signal) bool {
	g, err := unix.Getpgid(pid)
	return err == nil && g == pid && unix.Kill(-pid, sig) == nil
}
