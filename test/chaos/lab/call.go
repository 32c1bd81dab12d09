package lab

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"idem/test/internal/rig"
)

// NotCalled is the code of a call that was not made, see ErrNoMoreCalls.
const NotCalled = -1000

// ErrNoMoreCalls is the error of a start function that allows no more calls.
var ErrNoMoreCalls = errors.New("no more calls")

// ReplayFailures is the flag that makes a failure as final as a success.
var ReplayFailures = []string{"--on-failure", "replay"}

// Call is one call of idem that has ended.
type Call struct {
	ID   string
	Code int // exit status; negative: died of that signal
	out  string
}

// Environ returns the environment for a call of idem.
func (l *Lab) Environ(ledger, id string) []string {
	return rig.Environ("IDEM_LEDGER="+ledger, EnvLab+"="+l.Dir, EnvCall+"="+id)
}

// Finish starts a call with start and waits for its end. The output goes to the
// files out.out and out.err, because processes that outlive a killed idem would
// hold a pipe open.
func Finish(cmd *exec.Cmd, start func(*exec.Cmd) error, id, out string) Call {
	c := Call{ID: id, out: out}
	stdout, err := os.Create(c.out + ".out")
	Must(err)
	defer stdout.Close()
	stderr, err := os.Create(c.out + ".err")
	Must(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := start(cmd); errors.Is(err, ErrNoMoreCalls) {
		c.Code = NotCalled
		return c
	} else {
		Must(err)
	}
	_ = cmd.Wait() // the process state has the details
	c.Code = Status(cmd.ProcessState)
	return c
}

// Status returns the exit status of a process, or the negative number of the
// signal that it died of.
func Status(s *os.ProcessState) int {
	if ws := s.Sys().(syscall.WaitStatus); ws.Signaled() {
		return -int(ws.Signal())
	}
	return s.ExitCode()
}

// Stdout returns the output of the call.
func (c Call) Stdout() string { return Read(c.out + ".out") }

// Stderr returns the messages of the call.
func (c Call) Stderr() string { return Read(c.out + ".err") }

// Read returns the content of a file, or the text of the error.
func Read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
