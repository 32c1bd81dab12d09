package proc

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Become replaces this process by a command, as execve(2): from then on it is
// as if idem had never been there. It returns only with an error, *StartError.
func Become(path string, argv []string) error {
	// What we ignore, the command would ignore too, and Reset does not undo it;
	// what we catch ends with us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := syscall.Exec(path, argv, os.Environ())
	if errors.Is(err, syscall.ENOEXEC) && isText(path) {
		err = syscall.Exec(shell, append([]string{shell, path}, argv[1:]...), os.Environ())
	}
	c := &Command{Path: path, Args: argv}
	return c.explain(err)
}
