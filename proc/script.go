package proc

import (
	"context"
	"os"
	"time"
)

// Script is a shell command that idem runs for itself, beside the command that
// the call is about: nothing of it is recorded, and its output goes straight
// where it is sent. A background process that it leaves behind is nobody's
// business.
type Script struct {
	Text  string   // for sh -c
	Env   []string // nil: the environment of this process
	Stdin []byte   // what it may read
	// Output gets its stdout and its stderr.
	Output *os.File
	// KillAfter is how long after the TERM that the end of the context sends
	// the script is killed. Zero: never.
	KillAfter time.Duration
}

// Shell returns the execution of a script that the user has given as one word:
// sh -c, as system(3).
func Shell(script string) Command {
	return Command{Path: shell, Args: []string{"sh", "-c", script}}
}

// Run runs the script to its end, or to that of the context, when it gets TERM
// and after KillAfter KILL, with all of its process group unless we are in the
// terminal's foreground. Signals are not passed on: whoever catches them ends
// the context. Nothing ran if the error is a *StartError or the context's own;
// with a *LostError nobody knows how it ended.
func (s *Script) Run(ctx context.Context) (*End, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c := Shell(s.Text)
	c.Env, c.OwnGroup = s.Env, true
	r, w, err := os.Pipe()
	if err != nil {
		return nil, &StartError{Name: c.name(), Code: CannotRun, Err: err}
	}
	// A script that does not read all of it, or hands its stdin on to a process
	// that outlives it, ends the writing no later than itself.
	defer w.Close()
	c.Stdin = r
	k := &child{ended: make(chan struct{})}
	err = c.start(ctx, k, int(s.Output.Fd()), int(s.Output.Fd()))
	_ = r.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = w.Write(s.Stdin) // EPIPE: it has read what it wanted
		_ = w.Close()
	}()
	go k.stopAtEndOf(ctx, 0, s.KillAfter)
	k.wait(-1)
	e := &End{Status: k.status, StoppedBy: k.wasStopped()}
	if k.err != nil {
		return e, &LostError{k.err}
	}
	return e, nil
}
