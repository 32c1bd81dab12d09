package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/scripts/internal/rig"
)

// caller is one process of a crowd that has ended.
type caller struct {
	code           int // negative: died of that signal
	took           time.Duration
	stdout, stderr string // files
}

// crowd is processes that ran at once.
type crowd struct {
	callers []caller
	took    time.Duration // from the start signal to the last end
}

// together runs n commands at once: all of them are started first, wait in
// front of their exec, and go when the last one is there. What they write goes
// to files in a directory of the given name.
func (l *load) together(name string, n int, env []string, command func(i int) []string) (*crowd, error) {
	dir := filepath.Join(l.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	gate, open, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer open.Close()
	ready, here, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	defer here.Close()

	c := &crowd{callers: make([]caller, n)}
	numbers := map[int]int{} // of the callers, by pid
	for i := range c.callers {
		me := &c.callers[i]
		me.stdout, me.stderr = filepath.Join(dir, fmt.Sprintf("%04d.out", i)), filepath.Join(dir, fmt.Sprintf("%04d.err", i))
		pid, err := l.spawn(me, rig.Environ(env...), command(i), gate, here)
		if err != nil {
			return nil, errors.Join(err, c.end(numbers)) // those that wait have nothing to wait for
		}
		numbers[pid] = i
	}
	_ = here.Close()
	if _, err := io.ReadFull(ready, make([]byte, n)); err != nil {
		return nil, fmt.Errorf("somebody did not come to the start: %w", err)
	}
	begin := time.Now()
	_ = open.Close() // the start signal: the others read the end of the gate
	return c, c.reap(numbers, begin)
}

// spawn starts one caller as far as the gate.
func (l *load) spawn(me *caller, env, command []string, gate, here *os.File) (int, error) {
	var files [3]*os.File
	for i, path := range []string{os.DevNull, me.stdout, me.stderr} {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		files[i] = f
	}
	p, err := os.StartProcess(l.self, append([]string{l.self, "gate"}, command...), &os.ProcAttr{
		Env: env, Files: append(files[:], gate, here),
	})
	if err != nil {
		return 0, err
	}
	defer p.Release() // reap waits for all at once: a thread for each would be a load of its own
	return p.Pid, nil
}

// reap waits for all callers, in the order in which they end.
func (c *crowd) reap(numbers map[int]int, begin time.Time) error {
	for range numbers {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		for errors.Is(err, unix.EINTR) {
			pid, err = unix.Wait4(-1, &ws, 0, nil)
		}
		if err != nil {
			return err
		}
		me := &c.callers[numbers[pid]]
		me.took, me.code = time.Since(begin), ws.ExitStatus()
		if ws.Signaled() {
			me.code = -int(ws.Signal())
		}
		c.took = me.took
	}
	return nil
}

func (c *crowd) end(numbers map[int]int) error {
	for pid := range numbers {
		_ = unix.Kill(pid, unix.SIGKILL) // not reaped yet, and so still ours
	}
	return c.reap(numbers, time.Now())
}

// failed complains about everybody who did not exit with 0.
func (c *crowd) failed() error {
	var n int
	var first string
	for i, me := range c.callers {
		if me.code != 0 {
			if n++; n == 1 {
				b, _ := os.ReadFile(me.stderr)
				first = fmt.Sprintf("number %d ended with %d: %s", i, me.code, strings.TrimSpace(string(b)))
			}
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d callers failed, %s", n, len(c.callers), first)
	}
	return nil
}

// times are how long the callers took.
func (c *crowd) times() []time.Duration {
	var all []time.Duration
	for _, me := range c.callers {
		all = append(all, me.took)
	}
	return all
}

// children are this program in other roles.
var children = map[string]func(args []string) int{
	// gate waits for the start signal and becomes a command.
	"gate": func(command []string) int {
		const gate, here = 3, 4
		unix.CloseOnExec(gate)
		unix.CloseOnExec(here)
		path, err := exec.LookPath(command[0])
		if err == nil {
			_, err = unix.Write(here, []byte{0})
		}
		_ = unix.Close(here)
		if err == nil {
			_, err = unix.Read(gate, make([]byte, 1))
		}
		if err == nil {
			err = unix.Exec(path, command, os.Environ())
		}
		fmt.Fprintln(os.Stderr, "load gate:", err)
		return 98
	},
	// spawn is all that a Go program must do to run a command.
	"spawn": func(command []string) int {
		path, err := exec.LookPath(command[0])
		if err != nil {
			return 98
		}
		pid, err := syscall.ForkExec(path, command, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		var ws unix.WaitStatus
		if err == nil {
			_, err = unix.Wait4(pid, &ws, 0, nil)
		}
		if err != nil {
			return 98
		}
		return ws.ExitStatus()
	},
	"work": work,
}
