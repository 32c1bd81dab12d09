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

// tty is the pseudo-terminal of one Run with Command.TTY. The command has its slave
// side, in a separate session that another process leads (leader.go). The pump reads
// its master side. input.go writes to the master. own.go handles the caller's
// terminal during the run. On a nil tty, the methods that Run calls do nothing.
type tty struct {
	master int // the pump closes it once there is a pump
	// slave is kept open until the command has ended. Otherwise a read from the master
	// would report the end whenever no process of the command has the terminal open.
	slave   int
	own     *ownTerminal
	input   *input
	conn    *os.File // connection to the leader
	ready   bool     // the leader is running; before that it starts nothing
	begun   atomic.Bool
	once    sync.Once
	gotTerm bool // the command got a TERM; valid when it has ended
}

// openTTY makes a pseudo-terminal as script(1) does, with the modes and the size of
// the caller's terminal.
//
// If the caller has no terminal, the modes are the kernel's defaults without echo,
// which would only repeat the input. The size is then 0 by 0. Programs then use LINES
// and COLUMNS, or 24 by 80.
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
	// Duplicate the descriptors, because Go makes those of an os.File non-blocking.
	if t.master, err = unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	if t.slave, err = unix.FcntlInt(slave.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	return errors.Join(unix.SetNonblock(t.master, true), unix.SetNonblock(t.slave, false))
}

// modes returns the initial modes of the command's terminal. While a shell is in the
// foreground of the caller's terminal, the modes there are for the shell and not for
// a command. If only stdout is a terminal, it never becomes raw and converts each
// newline itself, so the command's terminal does not.
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

// begin starts to pass on the input. The command must have been started.
func (t *tty) begin() {
	if t != nil {
		t.begun.Store(true)
		go t.input.run()
	}
}

// signal sends a signal to the command's process group. It does not send WINCH,
// because the kernel does so when the size changes.
func (t *tty) signal(sig syscall.Signal) {
	if sig != unix.SIGWINCH {
		_, _ = t.conn.Write([]byte{byte(sig)}) // an error means that the leader is gone; wait reports it
	}
}

var errLeaderGone = errors.New("the process that leads the command's terminal is gone")

// wait returns how the command ended. It writes a byte to wake each time that the
// command has stopped.
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

// endOfInput stops the input when the command has ended.
func (t *tty) endOfInput() {
	if t != nil {
		t.input.stop()
	}
}

// closeSlave closes the slave side of idem. The master is then at its end, unless a
// process that the command left behind has the slave open.
func (t *tty) closeSlave() {
	if t != nil && t.slave >= 0 {
		_ = unix.Close(t.slave)
		t.slave = -1
	}
}

// settling is how long a terminal may take to show its output before its modes
// change.
const settling = 200 * time.Millisecond

// suspend stops idem after Ctrl-Z has stopped the command. It restores the modes of
// the caller's terminal. Then it stops idem and its whole process group, as if the
// Ctrl-Z had been sent to them. When idem is continued, it continues the command.
//
// If idem is not in the foreground of the caller's terminal, suspend does nothing.
// The process that stopped the command must then continue it.
func (t *tty) suspend(shown *tee) {
	if !t.own.raw.Load() {
		return
	}
	shown.settle(settling)
	done := make(chan struct{})
	t.own.stops <- done
	<-done
}

// raw reports whether the keys of the caller's terminal go to the command's terminal.
func (t *tty) raw() bool { return t != nil && t.own.raw.Load() }

// end restores the modes of the caller's terminal. Before that, it waits until the
// terminal has shown the output that was written for the current modes. end must be
// called before the master is closed.
func (t *tty) end(shown *tee) {
	if t == nil {
		return
	}
	if t.own.raw.Load() {
		shown.settle(settling)
	}
	t.own.end()
}

// reap ends the leader. The kernel then sends HUP to the command's process group,
// because the processes left in it have lost their terminal. The leader must be gone
// before the run is over, because it has the descriptors that the command inherits.
func (t *tty) reap(leader *process) {
	if t != nil {
		_ = t.conn.Close()
		_, _ = leader.wait()
	}
}

// close restores the caller's terminal and closes everything but the master. Run
// calls it on every return and on a panic. It may be called several times.
func (t *tty) close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.own.end()
		t.input.stop()
		t.closeSlave()
		if t.conn != nil {
			// Close would wait for wait, which reads from the connection, so shut it
			// down first. conn may be closed already and its number reused; Control
			// fails then.
			if conn, err := t.conn.SyscallConn(); err == nil {
				_ = conn.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
			}
			_ = t.conn.Close()
		}
	})
}

// discard closes the descriptors of a terminal that no pump has taken over.
func (t *tty) discard() {
	if t == nil {
		return
	}
	t.closeSlave()
	if t.master >= 0 {
		_ = unix.Close(t.master)
	}
}
