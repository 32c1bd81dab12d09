package proc

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Become replaces this process by a command, as execve(2): from then on it is
// as if idem had never been there. With noStdin the command's stdin is /dev/null.
// It returns only with an error, *StartError.
func Become(path string, argv []string, noStdin bool) error {
	c := &Command{Path: path, Args: argv}
	if noStdin {
		if err := closeStdin(); err != nil {
			return &StartError{Name: c.name(), Code: CannotRun, Err: err}
		}
	}
	// What we ignore, the command would ignore too, and Reset does not undo it;
	// what we catch ends with us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := syscall.Exec(path, argv, os.Environ())
	if errors.Is(err, syscall.ENOEXEC) && isText(path) {
		err = syscall.Exec(shell, append([]string{shell, path}, argv[1:]...), os.Environ())
	}
	return c.explain(err)
}

// closeStdin puts /dev/null in the place of this process's stdin.
func closeStdin() error {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	_ = unix.Close(0)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 0) // the lowest that is free
	return os.NewSyscallError("dup", err)
}
