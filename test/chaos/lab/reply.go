package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"idem/test/internal/rig"
)

// HangAfter is the time after which a call counts as hanging.
const HangAfter = 60 * time.Second

// envStartLog is the variable with the path of the start log, see Sandbox.
const envStartLog = "CHAOS_STARTS"

// Reply is the result of a call of idem.
type Reply struct {
	args     []string
	Code     int // negative: died of that signal
	Out, Err string
	Hung     bool
}

// Sandbox is a ledger and the log of the commands that were started in it: each
// adds a line with its key.
type Sandbox struct{ Ledger, StartLog string }

// NewSandbox returns the paths of a sandbox in a directory. It makes nothing.
func NewSandbox(dir string) Sandbox {
	return Sandbox{filepath.Join(dir, "ledger"), filepath.Join(dir, "starts")}
}

func (p Sandbox) environ() []string {
	return rig.Environ("IDEM_LEDGER="+p.Ledger, envStartLog+"="+p.StartLog)
}

// Call calls idem, or a program that calls it, and waits for its end.
func (p Sandbox) Call(program string, args ...string) Reply {
	return p.CallWithin(HangAfter, program, args...)
}

// CallWithin is Call with another limit than HangAfter.
func (p Sandbox) CallWithin(limit time.Duration, program string, args ...string) Reply {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, program, args...)
	c.Env, c.Stdout, c.Stderr = p.environ(), &out, &errs
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := c.Run()
	if c.ProcessState == nil {
		panic(err) // the program does not exist
	}
	if ctx.Err() != nil {
		killLeft(envStartLog + "=" + p.StartLog)
	}
	return Reply{
		args: args, Code: Status(c.ProcessState), Out: out.String(), Err: errs.String(),
		Hung: errors.Is(ctx.Err(), context.DeadlineExceeded),
	}
}

// Crash returns how a call failed in a way that is never allowed, or "".
func (r Reply) Crash() string {
	switch {
	case r.Hung:
		return "hung"
	case r.Code < 0:
		return fmt.Sprintf("died of signal %d", -r.Code)
	}
	for _, trace := range []string{"goroutine ", "panic:", "fatal error:", "runtime error"} {
		if strings.Contains(r.Err, trace) {
			return "shows a stack trace"
		}
	}
	return ""
}

func (r Reply) String() string {
	args := r.args
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // the command is always the same
	}
	return fmt.Sprintf("%s: status %d, stdout of %d bytes %.90q, stderr of %d bytes %.1500q",
		strings.Join(args, " "), r.Code, len(r.Out), r.Out, len(r.Err), r.Err)
}
