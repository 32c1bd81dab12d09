// Package proc runs a child process as if idem were not there, and gets a copy of its
// output. It handles pipes, signals and the exit status.
//
// The child keeps the caller's stdin, terminal, process group, environment, working
// directory, umask, limits and descriptors. Only its stdout and stderr are pipes. One
// loop reads both. It gives each read first to Record and then to a live copy, which
// may lag behind. The child never waits long for the live copy.
//
// A run ends when the child itself has ended. Everything that the child wrote before
// its end is read, even if another process still holds the pipes. So is the output
// that a filter of the child passes on in the half second after the end. Later output
// of a background process is not read: the read ends are then closed, and the process
// gets SIGPIPE, as from any reader that has gone away. A daemon that should outlive
// the run must send its output elsewhere.
package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is one of a command's two outputs.
type Stream = int

// The value of a stream is its descriptor number.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Command is one execution of a program. Run does not change its fields.
type Command struct {
	Path string   // the file to execute, from LookPath
	Args []string // argv; Args[0] is what the user typed
	Env  []string // nil: the environment of this process

	// Stdin is passed to the command unchanged. Without TTY, this package does not
	// read from it. A nil Stdin means the stdin of this process. Stdout and Stderr
	// get the live copy; nil means no copy. The flags of these descriptors are never
	// changed.
	Stdin, Stdout, Stderr *os.File

	// Joined gives the command one pipe as its stdout and stderr. All output is then
	// Stdout, in the order of writing, and there is no Stderr. Joined has no effect
	// with TTY.
	Joined bool

	// Inherit are additional descriptors for the command. They get numbers from 277,
	// which scripts do not use, or lower numbers if a limit requires it.
	Inherit []*os.File

	// Record is called with all output of the command, in the order of arrival. One
	// goroutine calls it, and never after Run has returned. It must not keep p. While
	// it works, the command may have to wait. Nil means that nothing is recorded.
	Record func(stream Stream, p []byte)

	// Backlog makes a store for output that the reader of Stdout or Stderr does not
	// take. Close removes the store. The function is called at most once per stream.
	// If it is nil or fails, the command waits for the reader.
	Backlog func() (Backlog, error)

	// Earlier is a run with the same Stdout, Stderr and Backlog whose live copy may
	// lag. The copy of this run follows it, and Flush waits for both.
	Earlier *End

	// OwnGroup puts the command into a separate process group. The signals that end
	// the command then reach its children too, and all signals are passed on to the
	// whole group. It has no effect while idem is in the terminal's foreground: the
	// command must stay in that group to read from the terminal.
	OwnGroup bool

	// Apart puts the command into a separate process group even in the foreground, so no
	// key of the terminal reaches it. A command that reads from the terminal, or changes
	// its modes, is stopped then. Apart has no effect with TTY.
	Apart bool

	// TTY gives the command a pseudo-terminal as its stdin, stdout, stderr and
	// controlling terminal. All output there, including the echo of typed input, is
	// Stdout; there is no Stderr.
	//
	// Stdin is read and passed on. If it is a terminal, it is raw while the command
	// runs. Afterwards its modes are restored, except after a KILL of this process.
	// Any other Stdin is read until its end.
	//
	// The command is in a separate session and process group, and OwnGroup is
	// ignored. The program must call Helper first.
	TTY bool

	// Timeout is the time after the start when the command gets TERM, as at the end
	// of the context. Zero means never.
	Timeout time.Duration

	// KillAfter is the time after that TERM when the command is killed. Zero means
	// never.
	KillAfter time.Duration
}

// Backlog is a store for output: an *os.File, or a file of limited size. After a
// write has failed, the command waits for the reader.
type Backlog interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// Status is how a command ended.
type Status struct {
	ExitCode int            // 128+n if signal n ended it
	Signal   syscall.Signal // 0: the command exited
	// Typed reports whether the signal came from a key. All processes at the caller's
	// terminal should then get it. With a separate terminal, only the command has got
	// it.
	Typed bool
}

// End is a command that has ended.
type End struct {
	Status
	// StoppedBy is why Run sent TERM to the command, if the command had not ended by
	// then.
	StoppedBy Stop
	// Open reports whether a process that the command left behind could still write
	// to stdout or stderr when Run stopped reading. Its last lines may then be
	// missing.
	Open bool
	// Unread counts, by stream, the bytes that were written but not read, because
	// there were more than Run waits for.
	Unread [Stderr + 1]int64

	signals *Signals
	tees    [2]*tee
}

// Stop is the reason why a command got TERM from Run.
type Stop int

const (
	NotStopped Stop = iota
	ByTimeout       // Timeout has passed
	ByContext       // the context was done
)

// LostError says that the command ran, but its exit status is unknown.
type LostError struct{ Err error }

func (e *LostError) Error() string {
	return fmt.Sprintf("the exit status of the command is lost: %v", e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Run starts the command. It returns when the command has ended and all its output
// has been passed to Record. The live copy may lag: the caller must call Flush,
// unless another Run continues the copy.
//
// While the command runs, s passes signals on to it. s may be nil, and may serve
// several Runs at once. When ctx is done or Timeout has passed, the command gets
// TERM, and KILL after KillAfter.
//
// If nothing ran, the End is nil and the error is one of these:
//
//   - *StartError: the command could not be started.
//   - *SignalError: a fatal signal came before the start.
//   - The cause of the end of ctx.
//
// With a *LostError, the End is not nil.
func (c *Command) Run(ctx context.Context, s *Signals) (*End, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	k := &child{signals: s, ended: make(chan struct{})}
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
	p, err := newPump(c, k)
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
		if p.child == nil {
			_ = unix.Close(p.wake)
		}
		return nil, err
	}
	s.started(k)

	if p.child == nil {
		go func() {
			k.wait(p.wake)
			_ = unix.Close(p.wake) // the pump sees the end of the pipe
		}()
	}
	if c.Timeout > 0 {
		go k.stopAtEndOf(ctx, c.Timeout, c.KillAfter)
	} else {
		defer context.AfterFunc(ctx, func() { k.stopAtEndOf(ctx, 0, c.KillAfter) })()
	}
	k.tty.begin()
	p.run(k.ended)
	raw := k.tty.raw()
	k.tty.end(p.out.tee)
	p.close()
	k.tty.reap(k.proc)
	<-k.ended // already closed; the receive makes the fields of k visible here

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

// reapsItself reports whether the pump of the command also waits for the end of its process.
// Then a run needs one goroutine, and no thread waits for it. A live copy may keep the pump
// waiting until the process has ended, so with one, another goroutine has to wait for the end.
func (c *Command) reapsItself() bool {
	return !c.TTY && c.Stdout == nil && c.Stderr == nil && c.Earlier.copies() == 0 && canPollProcess()
}

// Flush waits until the readers of stdout and stderr have taken everything or are
// gone, or until a fatal signal comes (see Signals.Fatal). It returns the errors that
// made a copy incomplete. A reader that is gone is not an error.
func (e *End) Flush() []error { return e.flush(e.signals.Done()) }

// flush is Flush, except that it returns early when cut is closed.
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

// Settle waits up to 200 ms for the readers to take the output, before another
// process writes to the same readers.
func (e *End) Settle() {
	for _, t := range e.tees {
		t.settle(settling)
	}
}

// copies returns the number of streams that are copied live. e may be nil.
func (e *End) copies() (n int) {
	if e != nil {
		for _, t := range e.tees {
			if t != nil {
				n++
			}
		}
	}
	return n
}

func (c *Command) name() string {
	if len(c.Args) > 0 {
		return c.Args[0]
	}
	return c.Path
}
