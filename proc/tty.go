package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// tty is the pseudo-terminal of one Run with Command.TTY. The command has its
// slave side, in a session of its own, which another process leads (leader.go).
// The pump reads its master side; input.go feeds it; own.go is the caller's
// terminal meanwhile. All methods do nothing on a nil tty.
type tty struct {
	master int // the pump's from newPump on
	// slave is kept open until the command has ended. Else the master would
	// seem to be at its end whenever the command has the terminal closed.
	slave   int
	own     *ownTerminal
	input   *input
	conn    *os.File // to the leader
	ready   bool     // the leader has come up; before that it starts nothing
	begun   atomic.Bool
	once    sync.Once
	gotTerm bool // the command got a TERM; valid when it has ended
}

// openTTY makes a pseudo-terminal as script(1) does: with the modes and the size
// of the caller's terminal where there is one. Without one it has the kernel's
// modes but for the echo, which would only repeat the input, and no size (0 0),
// for which programs take LINES and COLUMNS or 24 by 80.
func openTTY(c *Command) (*tty, error) {
	t := &tty{master: -1, slave: -1}
	if err := t.open(); err != nil {
		t.discard()
		return nil, fmt.Errorf("no pseudo-terminal: %w", err)
	}
	stdin := c.Stdin
	if stdin == nil {
		stdin = os.Stdin
	}
	t.own = newOwnTerminal(stdin, []*os.File{stdin, c.Stdout, os.Stdout, os.Stderr}, t.master)
	modes, err := t.modes(c.Stdout)
	if err == nil {
		err = unix.IoctlSetTermios(t.slave, setTermios, modes)
	}
	if err == nil {
		t.input, err = newInput(stdin, t)
	}
	if err != nil {
		t.discard()
		return nil, fmt.Errorf("no pseudo-terminal: %w", err)
	}
	t.own.begin(t)
	return t, nil
}

func (t *tty) open() error {
	master, slave, err := pty.Open()
	if err != nil {
		return err
	}
	defer master.Close()
	defer slave.Close()
	// Out of Go's hands, which make what they hold non-blocking.
	if t.master, err = unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	if t.slave, err = unix.FcntlInt(slave.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	return errors.Join(unix.SetNonblock(t.master, true), unix.SetNonblock(t.slave, false))
}

// modes returns those that the command's terminal begins with. While the shell
// has our terminal, its modes are the shell's and not for a command. Where only
// our stdout is a terminal it is never raw, and makes a line's end of each newline itself.
func (t *tty) modes(stdout *os.File) (*unix.Termios, error) {
	if t.own.fd >= 0 && inForegroundOf(t.own.fd) {
		return unix.IoctlGetTermios(t.own.fd, getTermios)
	}
	modes, err := unix.IoctlGetTermios(t.slave, getTermios)
	if err == nil && t.own.fd < 0 {
		modes.Lflag &^= unix.ECHO
		if stdout != nil {
			shown, err := unix.IoctlGetTermios(int(stdout.Fd()), getTermios)
			if err == nil && shown.Oflag&(unix.OPOST|unix.ONLCR) == unix.OPOST|unix.ONLCR {
				modes.Oflag &^= unix.ONLCR
			}
		}
	}
	return modes, err
}

// begin starts to pass the input on, now that there is a command.
func (t *tty) begin() {
	if t != nil {
		t.begun.Store(true)
		go t.input.run()
	}
}

// signal sends a signal to the command's process group. WINCH is not for us to
// send: the kernel does when the size changes.
func (t *tty) signal(sig syscall.Signal) {
	if sig != unix.SIGWINCH {
		_, _ = t.conn.Write([]byte{byte(sig)}) // an error: the leader is gone, as wait tells
	}
}

var errLeaderGone = errors.New("the process that leads the command's terminal is gone")

// wait returns how the command ended. A byte in wake tells the pump each time
// that the command has stopped.
func (t *tty) wait(wake int) (Status, error) {
	for {
		kind, n, err := receive(t.conn)
		switch {
		case err != nil:
			return Status{}, errLeaderGone
		case kind == msgStopped:
			_, _ = unix.Write(wake, []byte{0})
		case kind == msgTermSent:
			t.gotTerm = true
		case kind == msgEnded:
			return statusOf(syscall.WaitStatus(n)), nil
		}
	}
}

// endOfInput is for when the command has ended: nobody reads any more.
func (t *tty) endOfInput() {
	if t != nil {
		t.input.stop()
	}
}

// closeSlave closes our slave side, so that the master is at its end when the command
// has left nobody behind who has it open.
func (t *tty) closeSlave() {
	if t != nil && t.slave >= 0 {
		_ = unix.Close(t.slave)
		t.slave = -1
	}
}

// settling is how long a terminal may take to show what it is to show before
// its modes change.
const settling = 200 * time.Millisecond

// suspend is what Ctrl-Z comes to once the command has stopped: our terminal
// gets its modes back and we stop too, with all of our process group, as if it
// had reached us. When we are continued, so is the command.
//
// If our terminal is not ours at the time, whoever stopped the command continues
// it.
func (t *tty) suspend(shown *tee) {
	if !t.own.raw.Load() {
		return
	}
	shown.settle(settling)
	done := make(chan struct{})
	t.own.stops <- done
	<-done
}

// raw tells whether the keys of our terminal go to the command's.
func (t *tty) raw() bool { return t != nil && t.own.raw.Load() }

// end gives the caller's terminal its modes back, when what was written for the
// modes that it has now is shown. Before the master is closed.
func (t *tty) end(shown *tee) {
	if t == nil {
		return
	}
	if t.own.raw.Load() {
		shown.settle(settling)
	}
	t.own.end()
}

// reap ends the leader, at which the kernel sends HUP to the command's process
// group: what is left of it has no terminal any more. The leader must be gone
// before the run is over, for it holds what the command inherits.
func (t *tty) reap(leader *process) {
	if t != nil {
		_ = t.conn.Close()
		_, _ = leader.wait()
	}
}

// close is for every way out, also a panic's.
func (t *tty) close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.own.end()
		t.input.stop()
		t.closeSlave()
		if t.conn != nil {
			// Close alone would wait for wait, which reads from it. It may be
			// closed already, and its number another's.
			if conn, err := t.conn.SyscallConn(); err == nil {
				_ = conn.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
			}
			_ = t.conn.Close()
		}
	})
}

// discard is for what no pump has taken over.
func (t *tty) discard() {
	if t == nil {
		return
	}
	t.closeSlave()
	if t.master >= 0 {
		_ = unix.Close(t.master)
	}
}
