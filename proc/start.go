package proc

import (
	"context"
	"errors"
	"os"
	"slices"
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
	k.group = c.OwnGroup && k.tty == nil && !inForeground()
	fork := func() (int, error) {
		return c.fork(path, argv, env, out, err, &syscall.SysProcAttr{Setpgid: k.group})
	}
	if k.tty != nil {
		fork = func() (int, error) { return k.tty.spawn(c, path, argv, env) }
	}
	begin := time.Now()
	for {
		failpoint.Here("fork.before")
		pid, errno := fork()
		switch {
		case errno == nil:
			failpoint.Here("fork.after")
			k.proc = newProcess(pid) // it is not reaped yet, so the pid is still its own
			return nil
		case errors.Is(errno, unix.ETXTBSY) && time.Since(begin) < textBusyFor && ctx.Err() == nil:
			time.Sleep(10 * time.Millisecond)
		case errors.Is(errno, unix.ENOEXEC) && path != shell && isText(path):
			argv = append([]string{shell, path}, argv[1:]...)
			path = shell
		default:
			return c.explain(errno)
		}
	}
}

// fork starts a process with the write ends as its stdout and stderr.
func (c *Command) fork(path string, argv, env []string, out, err int, sys *syscall.SysProcAttr) (pid int, errno error) {
	stdin := c.Stdin
	if stdin == nil {
		stdin = os.Stdin
	}
	attr := &syscall.ProcAttr{Env: env, Sys: sys}
	attr.Files = []uintptr{stdin.Fd(), uintptr(out), uintptr(err)}
	for _, f := range c.Inherit {
		attr.Files = append(attr.Files, f.Fd())
	}
	given := len(attr.Files)
	attr.Files = spread(attr.Files, callers(), limit())
	// Not os.StartProcess: it would take the pipes' descriptors into os.Files.
	OutlivePipe() // else the runtime would give PIPE, if it is ignored, the default disposition
	asStarted(func() { pid, errno = syscall.ForkExec(path, argv, attr) })
	if errors.Is(errno, unix.EBADF) && len(attr.Files)+given >= limit() {
		errno = unix.EMFILE // so dup3(2) says that a number is above the limit
	}
	return pid, errno
}

// highs are the numbers from which a command finds what it inherits of ours,
// the first that the limit permits: no script uses 277 (200 is the number of
// the flock idiom, `exec 200>lock`), and each number below costs the start 0.4 µs.
var highs = []int{277, 210, 110, 50, 20, 10}

// spread returns the descriptors that a child is to have, by their numbers in
// it: files up to stderr on theirs, the callers' on those they have, and the
// other files on the first of highs. The child itself moves them there: its
// table of descriptors is its own by then, while to enlarge the one that our
// threads share takes the kernel 10 ms (it waits for all of them, see
// expand_fdtable in fs/file.c).
//
// To move them, ForkExec uses up numbers above all of these, whatever is there:
// one for each and one for its own pipe. So none of those may be the caller's.
func spread(files []uintptr, callers func(fd int) bool, limit int) []uintptr {
	const std, none = 3, ^uintptr(0)
	need := 2*len(files) - 1 // the inherited, one left out, the pipe, and one for each file
	first := std
	if len(files) > std {
		for _, first = range highs {
			if first+need <= limit {
				break
			}
		}
	}
	first = max(first, int(slices.Max(files))+1)
	for free := 0; free < need; free++ {
		if callers(first + free) {
			first, free = first+free+1, -1
		}
	}
	all := slices.Clone(files[:std])
	for fd := std; fd < first; fd++ {
		if callers(fd) {
			all = append(all, uintptr(fd))
		} else {
			all = append(all, none)
		}
	}
	return append(all, files[std:]...)
}

// callers returns what tells whether a descriptor is open and meant for the
// command: ours all end at exec. One poll(2) tells of most numbers that nothing
// is open there.
func callers() func(fd int) bool {
	fds := make([]unix.PollFd, highs[0]+10)
	for i := range fds {
		fds[i].Fd = int32(i)
	}
	_, err := unix.Poll(fds, 0) // it fails where not so many may be open
	return func(fd int) bool {
		if err == nil && fd < len(fds) && fds[fd].Revents&unix.POLLNVAL != 0 {
			return false
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0
	}
}

// limit returns how many descriptors a process may have.
func limit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}
