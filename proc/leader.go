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

// A command with its own terminal is in a separate session, but does not lead it. At
// Ctrl-Z, the kernel does not stop a process whose parent is in another session,
// because no process of its session could continue it. So idem starts a copy of itself
// as the leader, as sudo does. The leader starts the command in a separate process
// group, in the terminal's foreground. After that it passes signals to the command and
// reports its changes of state.
//
// The command must be in the foreground before its first instruction. So the leader
// first starts another copy of idem, which waits for the leader and then executes the
// command.
const (
	leaderWord  = "__tty-leader"
	commandWord = "__tty-command"
)

// The leader sends messages of one byte, which is one of these, and a number of four
// bytes. It receives single bytes, each of which is a signal for the command.
const (
	msgReady    = 'r' // nothing is started yet
	msgStarted  = 'p'
	msgFailed   = 'e' // the command could not be started; the number is the errno
	msgStopped  = 's'
	msgTermSent = 't' // TERM was passed on before the command had ended
	msgEnded    = 'x' // the number is the wait status
)

// send sends a message. An error usually means that the other process is gone, which
// the next read reports too.
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

// Helper runs a process that Run needs in addition to the command, if the program's
// arguments ask for it. args are these arguments, without the program's name. Helper
// returns the exit status of that process, and whether the arguments asked for it. A
// program that uses Command.TTY must call it first.
func Helper(args []string) (status int, asked bool) {
	if len(args) < 3 || args[0] != leaderWord && args[0] != commandWord {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(0, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0, false // typed by a user
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

// ownFile returns the path of this program's file. On Linux, /proc/self/exe can be
// executed even if the file has been replaced or deleted. Without /proc, ownFile
// returns the path by which the program was executed.
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

// dial makes the two ends of a connection. The far end is for the child.
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

// spawn starts the command under a leader and returns the leader's process id. An
// Errno comes from the exec of the command.
func (t *tty) spawn(c *Command, k *child, path string, argv, env []string) (int, error) {
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
	pid, err := l.fork(k, exe, args, env, t.slave, t.slave, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1})
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
	// There are three cases, which wait distinguishes: the command was started, this is
	// unknown, or the leader ended before it was ready.
	t.conn = near
	return pid, nil
}

// noLeader returns an error that is not an Errno, which would be taken for that of
// the command.
func noLeader(err error) error {
	return errors.New(fmt.Sprint("cannot start the process that leads its terminal: ", err))
}

// lead runs the leader, and returns its exit status. The terminal is its stdout and
// stderr.
func lead(parent *os.File, path string, argv []string) int {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	// The leader must outlive the command, so it ignores signals that are sent to both.
	listen(&listener{want: ^rawsig.SetOf(int(unix.SIGCHLD), int(unix.SIGCONT), int(unix.SIGTSTP)), take: func(arrival) {}})
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
	releaseTerminal()

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
			case alive && !more: // idem was killed, so the terminal is gone
				killGroup(pid, unix.SIGHUP)
				killGroup(pid, unix.SIGCONT)
				return 0
			case !more:
				return 0
			case alive: // otherwise another process may have the pid
				if alive = !report(parent, pid); !alive {
					break
				}
				if sig == unix.SIGTERM {
					_ = send(parent, msgTermSent, 0)
				}
				killGroup(pid, sig)
			}
		}
	}
}

// report sends the changes of the command's state to the parent. It returns true if
// the command has ended.
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
		_ = unix.Kill(pid, sig) // it has left the group that it was started to lead
	}
}

// startLed starts the command in a separate process group in the foreground.
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
	pid, err := c.fork(&child{}, exe, args, os.Environ(), 1, 2, &syscall.SysProcAttr{Setpgid: true})
	_ = far.Close()
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlSetPointerInt(1, unix.TIOCSPGRP, pid); err != nil {
		return 0, err // closing near ends the process
	}
	if err := send(near, msgStarted, 0); err != nil {
		return 0, err
	}
	if kind, errno, err := receive(near); err == nil && kind == msgFailed {
		return 0, syscall.Errno(errno)
	}
	return pid, nil
}

// takeOver waits for a message from the leader and then executes the command. It
// returns an exit status if that fails.
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

// releaseTerminal closes the leader's descriptors of the terminal. The terminal is
// then at its end when the command and its processes have closed it.
func releaseTerminal() {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		null = 0 // the leader's end of the connection works as well
	}
	for fd := 2; fd >= 0; fd-- {
		_ = unix.Dup2(null, fd)
	}
}
