package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"idem/test/internal/rig"
)

// tooLong is when a call counts as hanging.
const tooLong = 60 * time.Second

// envSide names the file in which a command of the parts damage and syscalls
// says that it has been started.
const envSide = "CHAOS_SIDE"

// reply is what a call of idem came to.
type reply struct {
	args     []string
	code     int // negative: died of that signal
	out, err string
	hung     bool
}

// place is a ledger and what the commands that run in it leave.
type place struct{ ledger, side string }

func (p place) environ() []string {
	return rig.Environ("IDEM_LEDGER="+p.ledger, envSide+"="+p.side)
}

// ask calls idem, or a program around it, and waits for its end.
func (p place) ask(program string, args ...string) reply { return p.askFor(tooLong, program, args...) }

// askFor is ask with another idea of what is too long.
func (p place) askFor(limit time.Duration, program string, args ...string) reply {
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
		panic(err) // the program is not there: nothing can be proved
	}
	return reply{
		args: args, code: status(c.ProcessState), out: out.String(), err: errs.String(),
		hung: errors.Is(ctx.Err(), context.DeadlineExceeded),
	}
}

// crashed tells what no call may come to, whatever happens around it: "" if
// this one did not.
func (r reply) crashed() string {
	switch {
	case r.hung:
		return "hung"
	case r.code < 0:
		return fmt.Sprintf("died of signal %d", -r.code)
	}
	for _, trace := range []string{"goroutine ", "panic:", "fatal error:", "runtime error"} {
		if strings.Contains(r.err, trace) {
			return "shows a stack trace"
		}
	}
	return ""
}

func (r reply) String() string {
	args := r.args
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // the command is always the same
	}
	return fmt.Sprintf("%s: status %d, stdout of %d bytes %.90q, stderr of %d bytes %.1500q",
		strings.Join(args, " "), r.code, len(r.out), r.out, len(r.err), r.err)
}
