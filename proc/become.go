package proc

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// Become replaces this process by a command, as execve(2) does. The command then runs
// as if idem had never been there. With noStdin, the command's stdin is /dev/null.
// Become returns only if it fails, with a *StartError.
func Become(path string, argv []string, noStdin bool) error {
	c := &Command{Path: path, Args: argv}
	if noStdin {
		if err := closeStdin(); err != nil {
			return &StartError{Name: c.name(), Code: CannotRun, Err: err}
		}
	}
	for fd := range 3 {
		if closed, _ := WasClosed(fd); closed && (fd != 0 || !noStdin) {
			unix.CloseOnExec(fd)
			defer func() { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0) }()
		}
	}
	err := execve(path, argv)
	if errors.Is(err, syscall.ENOEXEC) && isText(path) {
		err = execve(shell, append([]string{shell, path}, argv[1:]...))
	}
	return c.explain(err)
}

// WasClosed reports whether this process was started without a descriptor of 0 to 2. It has
// /dev/null in its place.
func WasClosed(fd int) (was, known bool) { return rawsig.Closed(fd) }

// execve is execve(2) with the ignored and the blocked signals that this process was
// started with.
func execve(path string, argv []string) (err error) {
	rawsig.Leave()
	asStarted(func() { err = syscall.Exec(path, argv, os.Environ()) })
	return err
}

// asStarted calls f with the blocked signals that this process was started with. A
// process that f starts inherits them.
func asStarted(f func()) {
	if rawsig.Blocked() == 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rawsig.WithMask(f)
}

// closeStdin replaces the stdin of this process by /dev/null.
func closeStdin() error {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	_ = unix.Close(0)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 0) // 0 is the lowest free number
	return os.NewSyscallError("dup", err)
}
