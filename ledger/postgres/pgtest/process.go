package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// member is a process of a family, with the letter of ps for its state.
type member struct {
	pid   int
	state byte
}

// family returns the process and its children.
func (p *process) family() (members []member, err error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=").Output()
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var state string
		if n, _ := fmt.Sscan(line, &pid, &parent, &state); n < 3 || state[0] == 'Z' {
			continue
		}
		switch p.pid {
		case pid:
			members = append([]member{{pid, state[0]}}, members...)
		case parent:
			members = append(members, member{pid, state[0]})
		}
	}
	return members, nil
}

// pause stops the family. It returns when every member has stopped. A new child is found in
// the next round.
func (p *process) pause() error {
	for end := time.Now().Add(hang); time.Now().Before(end); {
		members, err := p.family()
		if err != nil {
			return err
		}
		members = slices.DeleteFunc(members, func(m member) bool { return m.state == 'T' })
		if len(members) == 0 {
			return nil
		}
		if err := send(members, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not stop", p.pid)
}

func (p *process) resume() error {
	members, err := p.family()
	if err != nil {
		return err
	}
	return send(members, syscall.SIGCONT)
}

func send(members []member, sig syscall.Signal) error {
	for _, m := range members {
		if err := syscall.Kill(m.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Pause stops a server or a pooler, and its child processes, by SIGSTOP. Connections stay
// open, and only the kernel accepts new ones.
func (p *process) Pause(t T) {
	t.Helper()
	if err := p.pause(); err != nil {
		t.Fatal(err)
	}
}

// Resume ends a pause.
func (p *process) Resume(t T) {
	t.Helper()
	if err := p.resume(); err != nil {
		t.Fatal(err)
	}
}

// PIDs returns the process and its children; the process is the first. The children of a
// server serve its connections.
func (p *process) PIDs(t T) []int {
	t.Helper()
	members, err := p.family()
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, m := range members {
		pids = append(pids, m.pid)
	}
	return pids
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
			return fmt.Errorf("%s (pid %d): not ready\n%s", what, p.pid, tail(p.dir))
		}
	}
	return nil
}
