package proc

import (
	"context"
	"os"
	"time"
)

// Script is a shell command that idem runs for itself, besides the command that
// the call is about. Nothing of it is recorded. Its output is passed on as that
// of a command is: a background process that it leaves behind holds our pipe,
// never the file that the output goes to, and only for half a second.
type Script struct {
	Text  string   // for sh -c
	Env   []string // nil: the environment of this process
	Stdin []byte   // what it may read
	// Output gets its stdout and its stderr, in the order of writing.
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
// terminal's foreground. It returns when the reader of Output has everything, is
// gone, or the context is done. Signals are not passed on: whoever catches them
// ends the context. Nothing ran if the error is a *StartError or the context's
// own; with a *LostError the script's end is not known.
func (s *Script) Run(ctx context.Context) (*End, error) {
	c := Shell(s.Text)
	c.Env, c.OwnGroup, c.KillAfter = s.Env, true, s.KillAfter
	c.Stdout, c.Joined = s.Output, true
	r, w, err := os.Pipe()
	if err != nil {
		return nil, &StartError{Name: c.name(), Code: CannotRun, Err: err}
	}
	defer r.Close()
	// A script that does not read all of it, or hands its stdin on to a process
	// that outlives it, ends the writing no later than itself.
	defer w.Close()
	c.Stdin = r
	go func() {
		_, _ = w.Write(s.Stdin) // EPIPE: it has read what it needed
		_ = w.Close()
	}()
	end, err := c.Run(ctx, nil)
	if end != nil {
		end.flush(ctx.Done()) // what could not be written is not recorded anywhere
	}
	return end, err
}
