package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// call is what is started, and where. With into, its output goes through a
// second program, as in a shell's pipeline. Programs are absolute paths.
type call struct {
	argv, into []string
	dir        string
	env        []string
}

// under returns the call with a program in front of what is measured: of the
// second one, where there is one.
func (c call) under(prefix ...string) call {
	if c.into != nil {
		c.into = append(prefix, c.into...)
	} else {
		c.argv = append(prefix, c.argv...)
	}
	return c
}

// sample is one call that was measured. The zero value: it was not.
type sample struct {
	wall  time.Duration // from before the fork to the end of the process and of its output
	cpu   time.Duration // user and system time of it and of what it waited for
	bytes int64         // on stdout
}

// meter starts processes one at a time, with as little around them as it can:
// one fork and exec, files that are open already, no thread and no buffer that
// was not there before.
type meter struct {
	null   *os.File
	stderr *os.File // of all calls, emptied before each
	buffer []byte
}

func newMeter(dir string) (*meter, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	stderr, err := os.OpenFile(filepath.Join(dir, "stderr"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	return &meter{null: null, stderr: stderr, buffer: make([]byte, 1<<20)}, err
}

// run measures one call. Its stdout is a pipe from which all is read and handed
// to sink, or /dev/null where sink is nil. An exit status other than 0 is an error.
func (m *meter) run(c call, sink func([]byte)) (s sample, err error) {
	if err := m.stderr.Truncate(0); err != nil {
		return s, err
	}
	read, out := (*os.File)(nil), m.null
	if sink != nil {
		if read, out, err = os.Pipe(); err != nil {
			return s, err
		}
		defer read.Close()
		read.Fd() // blocking from here on: no poller
		out.Fd()
	}
	begin := time.Now()
	pids, err := m.start(c, out)
	if sink != nil {
		_ = out.Close()
		if err == nil {
			s.bytes, err = m.drain(int(read.Fd()), sink)
		}
		_ = read.Close() // those who still write need not any more
	}
	for _, pid := range pids {
		var ws syscall.WaitStatus
		var ru syscall.Rusage
		err = errors.Join(err, wait(pid, &ws, &ru))
		if ws != 0 {
			err = errors.Join(err, fmt.Errorf("%s: %s", strings.Join(c.argv, " "), m.failure(ws)))
		}
		s.cpu += time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	s.wall = time.Since(begin)
	return s, err
}

func (m *meter) start(c call, out *os.File) (pids []int, err error) {
	in := m.null
	for _, step := range []struct {
		argv []string
		last bool
	}{{c.argv, c.into == nil}, {c.into, true}} {
		if step.argv == nil {
			break
		}
		next, to := (*os.File)(nil), out
		if !step.last {
			if next, to, err = os.Pipe(); err != nil {
				return pids, err
			}
			defer next.Close()
			defer to.Close()
		}
		pid, err := syscall.ForkExec(step.argv[0], step.argv, &syscall.ProcAttr{
			Dir: c.dir, Env: c.env, Files: []uintptr{in.Fd(), to.Fd(), m.stderr.Fd()},
		})
		if err != nil {
			return pids, fmt.Errorf("%s: %w", step.argv[0], err)
		}
		pids = append(pids, pid)
		in = next
	}
	return pids, nil
}

func (m *meter) drain(fd int, sink func([]byte)) (total int64, err error) {
	for {
		n, err := syscall.Read(fd, m.buffer)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 || err != nil {
			return total, err
		}
		total += int64(n)
		sink(m.buffer[:n])
	}
}

func wait(pid int, ws *syscall.WaitStatus, ru *syscall.Rusage) error {
	for {
		if _, err := syscall.Wait4(pid, ws, 0, ru); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// failure is how the last call ended and what it wrote to stderr.
func (m *meter) failure(ws syscall.WaitStatus) string {
	how := fmt.Sprintf("ended with %d", ws.ExitStatus())
	if ws.Signaled() {
		how = "died of " + ws.Signal().String()
	}
	b, _ := io.ReadAll(io.NewSectionReader(m.stderr, 0, 2000))
	return strings.TrimSpace(how + ": " + string(b))
}
