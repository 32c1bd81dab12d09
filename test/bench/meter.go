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

// call is a command with its directory and environment. With into, its output goes
// through a second program, as in a shell's pipeline. Programs are absolute paths.
type call struct {
	argv, into []string
	dir        string
	env        []string
}

// under returns the call with another program in front of it. In a pipeline that
// program is in front of the second one.
func (c call) under(prefix ...string) call {
	if c.into != nil {
		c.into = append(prefix, c.into...)
	} else {
		c.argv = append(prefix, c.argv...)
	}
	return c
}

// sample has the figures of one call. The zero value means that it was not measured.
type sample struct {
	wall  time.Duration // from before the fork to the end of the process and of its output
	cpu   time.Duration // user and system time of the process and of its children
	bytes int64         // on stdout
}

// meter starts processes one at a time and does as little else as possible. A call is
// one fork and exec, without a new thread, buffer or file apart from the pipe.
type meter struct {
	null   *os.File
	stderr *os.File // of all calls; it is emptied before each
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

// run measures one call. The stdout of the call is a pipe whose bytes go to sink, or
// /dev/null if sink is nil. An exit status other than 0 is an error.
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
		read.Fd() // makes the pipe blocking: no poller
		out.Fd()
	}
	begin := time.Now()
	pids, err := m.start(c, out)
	if sink != nil {
		_ = out.Close()
		if err == nil {
			s.bytes, err = m.drain(int(read.Fd()), sink)
		}
		_ = read.Close() // after an error, ends a process that still writes
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

// start starts the one or two programs of a call, with out as the last stdout.
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

// drain reads to the end of the file and returns the number of bytes.
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

// failure returns the status of the last call and the beginning of its stderr.
func (m *meter) failure(ws syscall.WaitStatus) string {
	status := fmt.Sprintf("ended with %d", ws.ExitStatus())
	if ws.Signaled() {
		status = "died of " + ws.Signal().String()
	}
	b, _ := io.ReadAll(io.NewSectionReader(m.stderr, 0, 2000))
	return strings.TrimSpace(status + ": " + string(b))
}
