package rig

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Caller is an ended process of a crowd.
type Caller struct {
	Code           int           // exit status; negative: died of that signal
	Took           time.Duration // since the start signal
	Stdout, Stderr string        // paths of files
}

// Crowd is a group of processes that ran at once.
type Crowd struct {
	Callers []Caller
	Took    time.Duration // from the start signal to the last end
}

// Together runs n commands at once. It starts a process for each, which waits before the
// exec until the last process is ready. gate is a command that calls Gate with its
// arguments. The output goes to files in dir, which Together makes. It returns an error
// if the commands could not be run.
func Together(gate []string, dir string, n int, env []string, command func(i int) []string) (*Crowd, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	wait, open, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer wait.Close()
	defer open.Close()
	ready, here, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	defer here.Close()

	c := &Crowd{Callers: make([]Caller, n)}
	numbers := map[int]int{} // of the callers, by pid
	for i := range c.Callers {
		me := &c.Callers[i]
		me.Stdout, me.Stderr = filepath.Join(dir, fmt.Sprintf("%04d.out", i)), filepath.Join(dir, fmt.Sprintf("%04d.err", i))
		pid, err := me.start(slices.Concat(gate, command(i)), env, wait, here)
		if err != nil {
			return nil, errors.Join(err, c.end(numbers))
		}
		numbers[pid] = i
	}
	_ = here.Close()
	if _, err := io.ReadFull(ready, make([]byte, n)); err != nil {
		_ = open.Close() // the callers that wait run their commands
		return nil, errors.Join(fmt.Errorf("a caller did not reach the start: %w", err), c.reap(numbers, time.Now()), c.Failed())
	}
	begin := time.Now()
	_ = open.Close() // the start signal: the callers read the end of the pipe
	return c, c.reap(numbers, begin)
}

// start starts one caller, which waits at the gate.
func (me *Caller) start(command, env []string, wait, here *os.File) (int, error) {
	var files [3]*os.File
	for i, path := range []string{os.DevNull, me.Stdout, me.Stderr} {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		files[i] = f
	}
	p, err := os.StartProcess(command[0], command, &os.ProcAttr{Env: env, Files: append(files[:], wait, here)})
	if err != nil {
		return 0, err
	}
	defer func() { _ = p.Release() }() // reap waits for all processes; a thread for each would add load
	return p.Pid, nil
}

// reap waits for all callers, in the order in which they end.
func (c *Crowd) reap(numbers map[int]int, begin time.Time) error {
	for range numbers {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		for errors.Is(err, unix.EINTR) {
			pid, err = unix.Wait4(-1, &ws, 0, nil)
		}
		if err != nil {
			return err
		}
		me := &c.Callers[numbers[pid]]
		me.Took, me.Code = time.Since(begin), ws.ExitStatus()
		if ws.Signaled() {
			me.Code = -int(ws.Signal())
		}
		c.Took = me.Took
	}
	return nil
}

// end kills all callers and waits for them.
func (c *Crowd) end(numbers map[int]int) error {
	for pid := range numbers {
		_ = unix.Kill(pid, unix.SIGKILL) // not reaped yet, so the PID is still valid
	}
	return c.reap(numbers, time.Now())
}

// Failed returns an error if a caller did not exit with 0.
func (c *Crowd) Failed() error {
	var n int
	var first string
	for i, me := range c.Callers {
		if me.Code != 0 {
			if n++; n == 1 {
				b, _ := os.ReadFile(me.Stderr)
				first = fmt.Sprintf("number %d ended with %d: %s", i, me.Code, strings.TrimSpace(string(b)))
			}
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d callers failed, %s", n, len(c.Callers), first)
	}
	return nil
}

// Percentile returns the time within which the given percentage of callers had ended.
func (c *Crowd) Percentile(percent int) time.Duration {
	var all []time.Duration
	for _, me := range c.Callers {
		all = append(all, me.Took)
	}
	slices.Sort(all)
	return all[(len(all)-1)*percent/100]
}

// Gate waits for the start signal of Together and becomes the command. It
// returns an exit status if it cannot.
func Gate(command []string) int {
	const wait, here = 3, 4
	unix.CloseOnExec(wait)
	unix.CloseOnExec(here)
	path, err := exec.LookPath(command[0])
	if err == nil {
		_, err = unix.Write(here, []byte{0})
	}
	_ = unix.Close(here)
	if err == nil {
		_, err = unix.Read(wait, make([]byte, 1))
	}
	if err == nil {
		err = unix.Exec(path, command, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "gate:", err)
	return 98
}
