package signals

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is a terminal with a shell and its one job in the foreground.
type terminal struct {
	dir   string
	wait  time.Duration // limit for an expected event
	tty   *os.File      // the master side of the terminal
	shell *exec.Cmd
	job   int // PID of the job, which is also its process group

	mu      sync.Mutex
	screen  strings.Builder
	stopped bool
	ended   bool
	empty   bool // the process group of the job is empty
	status  unix.WaitStatus
}

// openTerminal starts the job on a new terminal.
func openTerminal(self, dir string, wait time.Duration, env, job []string) (*terminal, error) {
	g := &terminal{dir: dir, wait: wait}
	if err := unix.Mkfifo(g.file("wait"), 0o600); err != nil {
		return nil, err
	}
	tty, slave, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	if g.tty, err = closable(tty); err != nil {
		return nil, err
	}
	reports, statusFile, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer statusFile.Close()
	g.shell = exec.Command(self, append([]string{"shell"}, job...)...)
	g.shell.Env, g.shell.Dir = env, dir
	g.shell.Stdin, g.shell.Stdout, g.shell.Stderr = slave, slave, slave
	g.shell.ExtraFiles = []*os.File{statusFile}
	g.shell.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := g.shell.Start(); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(reports)
	if _, err := fmt.Fscanf(buffered, "job %d\n", &g.job); err != nil {
		return nil, fmt.Errorf("no job: %w", err)
	}
	go g.readScreen()
	go g.readStatus(reports, buffered)
	err = g.await("the command", func() bool { return strings.Contains(g.screen.String(), atWork) })
	if err != nil {
		g.close()
	}
	return g, err
}

// closable returns a file that can be closed during a read.
func closable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // before NewFile, which checks the mode
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (g *terminal) file(name string) string { return filepath.Join(g.dir, name) }

// readScreen reads the screen until the terminal is closed.
func (g *terminal) readScreen() {
	buf := make([]byte, 4096)
	for {
		n, err := g.tty.Read(buf)
		g.mu.Lock()
		g.screen.Write(buf[:n])
		g.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// readStatus reads the status of the job from the shell. If the shell dies with its
// terminal, the job becomes a child of this process, see adopt.
func (g *terminal) readStatus(reports *os.File, buffered *bufio.Reader) {
	defer reports.Close()
	for {
		var ws unix.WaitStatus
		_, err := fmt.Fscanf(buffered, "status %d\n", &ws)
		if err != nil {
			_ = g.shell.Wait()
			for {
				if _, err = unix.Wait4(g.job, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
					break
				}
			}
			if err != nil {
				return // the job has ended before, or await fails
			}
		}
		g.mu.Lock()
		g.stopped, g.ended, g.status = ws.Stopped(), !ws.Stopped(), ws
		g.mu.Unlock()
	}
}

var errTooLong = errors.New("did not come")

// await waits until a condition is true.
func (g *terminal) await(what string, condition func() bool) error {
	for end := time.Now().Add(g.wait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		g.mu.Lock()
		ok := condition()
		g.mu.Unlock()
		if ok {
			return nil
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("%s %w; the screen shows %q", what, errTooLong, g.screen.String())
}

// send sends the signal of a cell.
func (g *terminal) send(c cell) error {
	switch key := keys[c.signal]; {
	case c.to == toIdem:
		return unix.Kill(g.job, c.signal)
	case c.to == toGroup:
		return unix.Kill(-g.job, c.signal)
	case c.signal == unix.SIGHUP:
		return g.tty.Close()
	case key != "":
		_, err := g.tty.WriteString(key)
		return err
	}
	var rest strings.Builder
	for b := byte(1); b < ' '; b++ {
		if b != '\x13' && !strings.ContainsRune(keys[unix.SIGINT]+keys[unix.SIGQUIT]+keys[unix.SIGTSTP], rune(b)) { // 0x13 would stop the screen
			rest.WriteByte(b)
		}
	}
	_, err := g.tty.WriteString(rest.String())
	return err
}

// seen returns the signals that the command counter has received.
func (g *terminal) seen() []string {
	b, _ := os.ReadFile(g.file("seen")) // only counter makes this file
	return strings.Fields(string(b))
}

// endCommand ends the command and waits for the end of the job. Later commands end at once.
func (g *terminal) endCommand() error {
	if err := os.WriteFile(g.file("go"), nil, 0o600); err != nil {
		return err
	}
	return g.await("the end of the job", func() bool {
		if !g.ended {
			// cat may not have opened the pipe yet.
			if fd, err := unix.Open(g.file("wait"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
				_ = unix.Close(fd)
			}
		}
		return g.ended
	})
}

// awaitGroupEnd waits for the last processes of the job, including orphans that this
// process has adopted.
func (g *terminal) awaitGroupEnd() error {
	return g.await("the end of the job's group", func() bool {
		_, _ = unix.Wait4(-g.job, nil, unix.WNOHANG, nil)
		g.empty = unix.Kill(-g.job, 0) == unix.ESRCH
		return g.empty
	})
}

// close closes the terminal and kills the remaining processes.
func (g *terminal) close() {
	_ = g.tty.Close()
	_ = os.WriteFile(g.file("go"), nil, 0o600)
	if !g.empty {
		_ = unix.Kill(-g.job, unix.SIGKILL)
	}
	_ = g.shell.Process.Kill()
}

func (g *terminal) isStopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopped
}
