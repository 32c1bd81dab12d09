package proc

import (
	"context"
	"os"
	"time"
)

// Script is a shell command that idem runs for itself, in addition to the command of
// the call. It is not recorded. Its output is passed on like that of a command: a
// background process that it leaves behind holds a pipe of idem and never the output
// file. The output of such a process is read for half a second.
type Script struct {
	Text  string   // for sh -c
	Env   []string // nil: the environment of this process
	Stdin []byte   // the content of its stdin
	// Output gets its stdout and its stderr, in the order of writing.
	Output *os.File
	// KillAfter is the time after the TERM for the end of the context when the script
	// is killed. Zero means never.
	KillAfter time.Duration
}

// Shell returns the command for a script that the user has given as one word: sh -c,
// as system(3) does.
func Shell(script string) Command {
	return Command{Path: shell, Args: []string{"sh", "-c", script}}
}

// Run runs the script until it has ended and the reader of Output has taken
// everything or is gone. When the context is done, the script gets TERM, and KILL
// after KillAfter. Run then does not wait for the reader.
//
// The script is in a separate process group, unless idem is in the terminal's
// foreground. TERM and KILL go to that group. Signals are not passed on: a caller
// that catches signals must end the context.
//
// If the error is a *StartError or the context's, nothing ran. With a *LostError, the
// exit status of the script is unknown.
func (s *Script) Run(ctx context.Context) (*End, error) {
	c := Shell(s.Text)
	c.Env, c.OwnGroup, c.KillAfter = s.Env, true, s.KillAfter
	c.Stdout, c.Joined = s.Output, true
	r, w, err := os.Pipe()
	if err != nil {
		return nil, &StartError{Name: c.name(), Code: CannotRun, Err: err}
	}
	defer r.Close()
	// The script may not read all of Stdin, or a process that outlives it may have the
	// pipe. Closing the pipe ends the write when the script has ended.
	defer w.Close()
	c.Stdin = r
	go func() {
		_, _ = w.Write(s.Stdin) // EPIPE: the script does not need the rest
		_ = w.Close()
	}()
	end, err := c.Run(ctx, nil)
	if end != nil {
		end.flush(ctx.Done()) // errors of the copy are not reported
	}
	return end, err
}
