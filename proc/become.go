package proc

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"idem/internal/rawsig"
)

// Become replaces this process by a command, as execve(2): from then on it is
// as if idem had never been there. It returns only with an error, *StartError.
func Become(path string, argv []string) error {
	err := execve(path, argv)
	if errors.Is(err, syscall.ENOEXEC) && isText(path) {
		err = execve(shell, append([]string{shell, path}, argv[1:]...))
	}
	c := &Command{Path: path, Args: argv}
	return c.explain(err)
}

// execve is execve(2) with the ignored and the blocked signals that this process
// was started with.
func execve(path string, argv []string) (err error) {
	rawsig.Leave()
	asStarted(func() { err = syscall.Exec(path, argv, os.Environ()) })
	return err
}

// asStarted calls f with the blocked signals that this process was started with,
// for what f starts.
func asStarted(f func()) {
	if rawsig.Blocked() == 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rawsig.WithMask(f)
}
