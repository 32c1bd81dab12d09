package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hang bounds every wait. It ends a hang and measures nothing.
const hang = 60 * time.Second

// process is a program that runs until it is stopped.
type process struct {
	pid  int
	dir  string        // of the program, in the room
	done chan struct{} // closed when the program has ended
}

// launch starts a program whose output is added to the file log of dir.
func (r *room) launch(dir, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := r.command("sh", append([]string{"-c", begin, "sh", dir, r.dir, name}, args...)...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &process{c.Process.Pid, dir, make(chan struct{})}
	go func() {
		_ = c.Wait() // the end is all that counts
		// The number may soon be that of another process.
		_ = os.Remove(filepath.Join(dir, "pid"))
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end sends a signal and waits for the end of the program.
func (p *process) end(sig syscall.Signal) error {
	if p.ended() {
		return nil
	}
	if err := p.resume(); err != nil {
		return err
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(hang):
		return fmt.Errorf("process %d did not end after %v\n%s", p.pid, sig, tail(p.dir))
	}
}

// family returns the process and its children.
func (p *process) family() ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=").Output()
	if err != nil {
		return nil, err
	}
	pids := []int{p.pid}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if n, _ := fmt.Sscan(line, &pid, &parent); n == 2 && parent == p.pid {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// pause stops the process and its children. The second round finds a child that was
// born before the parent stopped.
func (p *process) pause() error {
	for range 2 {
		if err := p.toAll(syscall.SIGSTOP); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) resume() error { return p.toAll(syscall.SIGCONT) }

func (p *process) toAll(sig syscall.Signal) error {
	pids, err := p.family()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// tail returns the last lines of the log in dir.
func tail(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "log"))
	lines := strings.SplitAfter(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "")
}

// await polls until ready reports true. It fails when the process has ended.
func (p *process) await(what string, ready func() bool) error {
	for end := time.Now().Add(hang); !ready(); time.Sleep(5 * time.Millisecond) {
		if p.ended() || time.Now().After(end) {
			return fmt.Errorf("%s (pid %s): not ready\n%s", what, strconv.Itoa(p.pid), tail(p.dir))
		}
	}
	return nil
}
