package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// A command with a terminal of its own is in a session of its own, and there it
// cannot be the leader: the kernel does not stop a process at Ctrl-Z whose
// parent is in another session, since nobody could continue it. So idem starts
// itself as the leader (as sudo does), which starts the command in a process
// group of its own, in the terminal's foreground, and then does little more than
// to pass signals in and news out.
//
// For the command to be in the foreground before its first instruction, its
// process is idem once more, which waits for its leader and then becomes it.
const (
	leaderWord  = "__tty-leader"
	commandWord = "__tty-command"
)

// What the leader reports: a byte and a number of four. What it is told are
// bytes, each a signal for the command.
const (
	msgReady   = 'r' // nothing is started yet
	msgStarted = 'p'
	msgFailed  = 'e' // to start; the number is the errno
	msgStopped = 's'
	msgTold    = 't' // it gets a TERM, for it has not ended yet
	msgEnded   = 'x' // the number is the wait status
)

// send reports an error where the other end cannot be told; mostly it is gone,
// as a read will tell.
func send(to *os.File, kind byte, n int) error {
	_, err := to.Write(binary.NativeEndian.AppendUint32([]byte{kind}, uint32(n)))
	return err
}

func receive(from *os.File) (kind byte, n int, err error) {
	var b [5]byte
	if _, err := io.ReadFull(from, b[:]); err != nil {
		return 0, 0, err
	}
	return b[0], int(int32(binary.NativeEndian.Uint32(b[1:]))), nil
}

// Helper does what Run needs of other processes of this program, if args, the
// arguments behind its name, ask for that, and returns the exit status. It is to
// be called first.
func Helper(args []string) (status int, asked bool) {
	if len(args) < 3 || args[0] != leaderWord && args[0] != commandWord {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(0, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0, false // a person typed it
	}
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return CannotRun, true
	}
	conn := os.NewFile(uintptr(fd), "parent")
	if args[0] == leaderWord {
		return lead(conn, args[1], args[2:]), true
	}
	return takeOver(conn, args[1], args[2:]), true
}

// ownFile is this program's file. On Linux it can be executed even when it has been
// replaced or deleted, unless there is no /proc: then it is found under the name
// by which it was executed.
func ownFile() (string, error) {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link, nil
	}
	if name := executedAs(); name != "" {
		return name, nil
	}
	return os.Executable()
}

// dial makes the two ends of a connection; the far one is for the child.
func dial() (near, far *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "parent"), nil
}

// spawn starts the command under a leader and returns the leader's process id.
// An Errno is the command's own, from exec.
func (t *tty) spawn(c *Command, path string, argv, env []string) (int, error) {
	exe, err := ownFile()
	if err != nil {
		return 0, noLeader(err)
	}
	near, far, err := dial()
	if err != nil {
		return 0, noLeader(err)
	}
	args := append([]string{"idem", leaderWord, path}, argv...)
	l := &Command{Stdin: far, Inherit: c.Inherit}
	pid, err := l.fork(exe, args, env, t.slave, t.slave, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1})
	_ = far.Close()
	if err != nil {
		_ = near.Close()
		if errors.Is(err, unix.E2BIG) {
			return 0, err
		}
		return 0, noLeader(err)
	}
	kind, errno, err := receive(near)
	if t.ready = err == nil && kind == msgReady; t.ready {
		kind, errno, err = receive(near)
	}
	if err == nil && kind == msgFailed {
		_ = near.Close()
		_, _ = unix.Wait4(pid, nil, 0, nil)
		return 0, syscall.Errno(errno)
	}
	// It is started, or nobody knows, or the leader has ended before it was ready:
	// wait says which.
	t.conn = near
	return pid, nil
}

// noLeader is no Errno, which would be taken for the command's.
func noLeader(err error) error {
	return errors.New(fmt.Sprint("cannot start the process that leads its terminal: ", err))
}

// lead is the leader's life. It has the terminal as its stdout and stderr.
func lead(parent *os.File, path string, argv []string) int {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	// The leader outlives the command, whatever it is sent along with it.
	listen(&listener{want: ^rawsig.Of(int(unix.SIGCHLD), int(unix.SIGCONT)), take: func(arrival) {}})
	pid, err := 0, canWait()
	if err == nil {
		_ = send(parent, msgReady, 0)
		pid, err = startLed(path, argv)
	}
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			errno = unix.ENOEXEC
		}
		_ = send(parent, msgFailed, int(errno))
		return CannotRun
	}
	_ = send(parent, msgStarted, pid)
	letGoOfTerminal()

	orders := make(chan syscall.Signal)
	go func() {
		defer close(orders)
		var b [1]byte
		for {
			if n, _ := parent.Read(b[:]); n == 0 {
				return
			}
			orders <- syscall.Signal(b[0])
		}
	}()
	alive := true
	for {
		alive = alive && !report(parent, pid)
		select {
		case <-children:
		case sig, more := <-orders:
			switch {
			case alive && !more: // idem was killed: the terminal is gone
				killGroup(pid, unix.SIGHUP)
				killGroup(pid, unix.SIGCONT)
				return 0
			case !more:
				return 0
			case alive: // else the number may be another's
				if alive = !report(parent, pid); !alive {
					break
				}
				if sig == unix.SIGTERM {
					_ = send(parent, msgTold, 0)
				}
				killGroup(pid, sig)
			}
		}
	}
}

// report tells the parent of what has happened to the command, and returns true
// when that was its end.
func report(parent *os.File, pid int) bool {
	for {
		var ws unix.WaitStatus
		n, err := unix.Wait4(pid, &ws, unix.WNOHANG|unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return false
		case ws.Stopped():
			_ = send(parent, msgStopped, int(ws.StopSignal()))
		default:
			_ = send(parent, msgEnded, int(ws))
			return true
		}
	}
}

func killGroup(pid int, sig syscall.Signal) {
	if unix.Kill(-pid, sig) != nil {
		_ = unix.Kill(pid, sig) // it has left the group that it was born to lead
	}
}

// startLed starts the command in a group of its own in the foreground.
func startLed(path string, argv []string) (int, error) {
	exe, err := ownFile()
	if err != nil {
		return 0, err
	}
	near, far, err := dial()
	if err != nil {
		return 0, err
	}
	defer near.Close()
	args := append([]string{"idem", commandWord, path}, argv...)
	c := &Command{Stdin: far}
	pid, err := c.fork(exe, args, os.Environ(), 1, 2, &syscall.SysProcAttr{Setpgid: true})
	_ = far.Close()
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlSetPointerInt(1, unix.TIOCSPGRP, pid); err != nil {
		return 0, err // near is closed, which ends it
	}
	if err := send(near, msgStarted, 0); err != nil {
		return 0, err
	}
	if kind, errno, err := receive(near); err == nil && kind == msgFailed {
		return 0, syscall.Errno(errno)
	}
	return pid, nil
}

// takeOver becomes the command as soon as the leader says so.
func takeOver(leader *os.File, path string, argv []string) int {
	if _, _, err := receive(leader); err != nil {
		return CannotRun
	}
	err := unix.Dup2(1, 0)
	if err == nil {
		err = execve(path, argv)
	}
	errno := unix.EINVAL
	errors.As(err, &errno)
	_ = send(leader, msgFailed, int(errno))
	return CannotRun
}

// letGoOfTerminal leaves the terminal to those who use it: it is at its end when
// the last of them has closed it.
func letGoOfTerminal() {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		null = 0 // our end of the connection: as good
	}
	for fd := 2; fd >= 0; fd-- {
		_ = unix.Dup2(null, fd)
	}
}
