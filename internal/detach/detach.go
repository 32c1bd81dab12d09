// Package detach starts a copy of this program that outlives it. The copy has its own session,
// and nothing open but a connection. The signals that end a terminal or a service do not end it.
package detach

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// connection is the descriptor of the copy's connection.
const connection = 3

// environment bounds the memory of the copy, and is all of its environment.
var environment = []string{"GOGC=25", "GOMEMLIMIT=8MiB", "GOMAXPROCS=1"}

// Start starts the copy, with argv as its arguments, and returns a connection with it.
// Deadlines of the connection work. The copy must call Settle first.
func Start(argv []string) (*os.File, error) {
	near, far, err := connect()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	rest := far // without /dev/null, the copy has the connection three times more
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		defer null.Close()
		rest = null
	}
	p, err := os.StartProcess(ownFile(), argv, &os.ProcAttr{
		Dir: "/", Env: environment, Files: []*os.File{rest, rest, rest, far}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		near.Close()
		return nil, err
	}
	go func() { _, _ = p.Wait() }() // or it would be a zombie after its end
	return near, nil
}

// Settle makes this process independent of the one that has started it, and returns the
// connection. name is for ps. Settle reports false if Start has not started this process.
func Settle(name string) (conn *os.File, ok bool) {
	var st unix.Stat_t
	if err := unix.Fstat(connection, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, false
	}
	unix.CloseOnExec(connection)
	closeOthers()
	// Programs that this process starts do not inherit a handler, but would inherit that a
	// signal is ignored.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM)
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // or it would be exe
	return os.NewFile(connection, "connection"), true
}

// closeOthers closes the descriptors that came from the caller of the program, such as locks
// and pipes. Those of Go are closed on exec, and stay.
func closeOthers() {
	entries, err := os.ReadDir("/proc/self/fd")
	var fds []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, n)
		}
	}
	if err != nil {
		for n := range 1024 {
			fds = append(fds, n)
		}
	}
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd > connection && err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// ownFile returns the file of this program. On Linux it can be executed even when it has been
// replaced or deleted.
func ownFile() string {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link
	}
	if name, err := os.Executable(); err == nil {
		return name
	}
	return os.Args[0]
}

// connect returns two connected sockets. The far one is for the copy.
func connect() (near, far *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	_ = unix.SetNonblock(fds[0], true) // for deadlines
	return os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far"), nil
}
