package proc

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
)

// shell reads files that are executable but in no format that the kernel knows,
// as with execvp(3).
const shell = "/bin/sh"

// textBusyFor is how long a file that somebody is still writing is waited for:
// a build or a copy that is just about to end.
const textBusyFor = time.Second

// start starts the command with the write ends as its stdout and stderr.
func (c *Command) start(ctx context.Context, k *child, out, err int) error {
	path, argv, env := c.Path, c.Args, c.Env
	if len(argv) == 0 {
		argv = []string{path}
	}
	if env == nil {
		env = os.Environ()
	}
	k.group = c.OwnGroup && !inForeground()
	begin := time.Now()
	for {
		failpoint.Here("fork.before")
		pid, errno := c.fork(path, argv, env, out, err, k.group)
		switch {
		case errno == nil:
			failpoint.Here("fork.after")
			// The child is not reaped yet, so the pid is still its own.
			var ferr error
			if k.proc, ferr = os.FindProcess(pid); ferr != nil {
				panic(ferr) // documented never to happen on Unix
			}
			return nil
		case errno == unix.ETXTBSY && time.Since(begin) < textBusyFor && ctx.Err() == nil:
			time.Sleep(10 * time.Millisecond)
		case errno == unix.ENOEXEC && path != shell && isText(path):
			argv = append([]string{shell, path}, argv[1:]...)
			path = shell
		default:
			return c.explain(errno)
		}
	}
}

// forking makes (dup, start, close) one step: a descriptor that is to reach one
// command is open without close-on-exec for that long, and must not reach the
// command of a parallel Run.
var forking sync.Mutex

func (c *Command) fork(path string, argv, env []string, out, err int, group bool) (int, error) {
	forking.Lock()
	defer forking.Unlock()
	var ours []int
	defer func() {
		for _, fd := range ours {
			_ = unix.Close(fd)
		}
	}()
	for _, f := range c.Inherit {
		fd, err := dupHigh(int(f.Fd()))
		if err != nil {
			return 0, err
		}
		ours = append(ours, fd)
	}
	stdin := c.Stdin
	if stdin == nil {
		stdin = os.Stdin
	}
	files := []int{int(stdin.Fd()), out, err}

	// In the child, Go may move its own error pipe onto the number above the
	// highest of these three, whatever is there, and something of the caller's
	// may be. So that number is made to be one of ours that ends at exec anyway.
	for {
		next := max(files[0], files[1], files[2]) + 1
		guard, err := unix.FcntlInt(uintptr(out), unix.F_DUPFD_CLOEXEC, next)
		if err != nil {
			return 0, err
		}
		ours = append(ours, guard)
		if guard == next {
			break
		}
		files[1] = guard // and see whether the one above it is free
	}
	return forkExec(path, argv, env, files, group)
}

func forkExec(path string, argv, env []string, files []int, group bool) (int, error) {
	attr := &syscall.ProcAttr{Env: env, Sys: &syscall.SysProcAttr{Setpgid: group}}
	for _, fd := range files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	// Not os.StartProcess: it would take the pipes' descriptors into os.Files.
	return syscall.ForkExec(path, argv, attr)
}

// dupHigh duplicates a descriptor for the command to inherit, on the lowest
// free number from 731, which no script uses (200 is that of the flock idiom,
// `exec 200>lock`), or lower where the hard limit forbids that.
func dupHigh(fd int) (int, error) {
	for _, least := range []int{731, 210, 110, 50, 20, 10} {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, least)
		if err != unix.EINVAL && err != unix.EMFILE {
			return n, err
		}
	}
	return 0, unix.EMFILE
}
