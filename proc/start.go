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

// shell runs an executable file whose format the kernel does not know, as execvp(3)
// does.
const shell = "/bin/sh"

// textBusyTimeout is how long to wait for an executable file that a process still has
// open for writing. A build or a copy may be about to end.
const textBusyTimeout = time.Second

// start starts the command with the descriptors out and err as its stdout and stderr.
func (c *Command) start(ctx context.Context, k *child, out, err int) error {
	path, argv, env := c.Path, c.Args, c.Env
	if len(argv) == 0 {
		argv = []string{path}
	}
	if env == nil {
		env = os.Environ()
	}
	k.group = k.tty == nil && (c.Apart || c.OwnGroup && !inForeground())
	sys, pidfd := &syscall.SysProcAttr{Setpgid: k.group}, -1
	opens := k.tty == nil && c.reapsItself()
	if opens {
		openProcess(sys, &pidfd)
	}
	fork := func() (int, error) { return c.fork(k, path, argv, env, out, err, sys) }
	if k.tty != nil {
		fork = func() (int, error) { return k.tty.spawn(c, k, path, argv, env) }
	}
	begin := time.Now()
	for {
		failpoint.Here("fork.before")
		pid, errno := fork()
		switch {
		case errno == nil:
			failpoint.Here("fork.after")
			k.proc = newProcess(pid, pidfd) // not reaped yet, so no other process can have the pid
			return nil
		case errors.Is(errno, unix.ETXTBSY) && time.Since(begin) < textBusyTimeout && ctx.Err() == nil:
			time.Sleep(10 * time.Millisecond)
		case errors.Is(errno, unix.EINVAL) && opens: // an emulator knows no such descriptors, see process.poll
			openProcess(sys, nil)
			opens, pidfd = false, -1
		case errors.Is(errno, unix.ENOEXEC) && path != shell && isText(path):
			argv = append([]string{shell, path}, argv[1:]...)
			path = shell
		default:
			return c.explain(errno)
		}
	}
}

// fork starts a process with the descriptors out and err as its stdout and stderr,
// and returns its process id.
func (c *Command) fork(k *child, path string, argv, env []string, out, err int, sys *syscall.SysProcAttr) (pid int, errno error) {
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
	attr.Files = childFiles(attr.Files, k.signals.callers(), limit())
	// os.StartProcess would put the pipes' descriptors into os.Files.
	OutlivePipe() // or the runtime would give an ignored PIPE the default disposition
	asStarted(func() { pid, errno = syscall.ForkExec(path, argv, attr) })
	if errors.Is(errno, unix.EBADF) && len(attr.Files)+given >= limit() {
		errno = unix.EMFILE // dup3(2) returns EBADF for a number above the limit
	}
	return pid, errno
}

// inheritBases are the possible first numbers of the descriptors in Command.Inherit.
// The first number that the limit permits is used. No script is known to use 277; 200
// is the number of the flock idiom, `exec 200>lock`. Each number below the base adds
// 0.4 µs to the start.
var inheritBases = []int{277, 210, 110, 50, 20, 10}

// searched is a number above those of the descriptors that most commands get.
const searched = 287

// childFiles returns the descriptors for a child, indexed by their numbers in the
// child:
//
//   - files 0 to 2 get these numbers
//   - descriptors of the caller, for which isCallers returns true, keep their numbers
//   - the other files get numbers from the first usable one of inheritBases
//
// The child itself moves the descriptors, after fork. Its descriptor table is then
// separate. If the parent moved them, the kernel would have to enlarge the table that
// all its threads share. This takes 10 ms, because the kernel waits for all of them
// (see expand_fdtable in fs/file.c).
//
// To move descriptors, ForkExec overwrites numbers above all of these: one for each
// file and one for its own pipe. So none of these numbers may be the caller's.
func childFiles(files []uintptr, isCallers func(fd int) bool, limit int) []uintptr {
	const std, none = 3, ^uintptr(0)
	need := 2*len(files) - 1 // the inherited ones, a gap of one, the pipe, and one for each file
	first := std
	if len(files) > std {
		for _, first = range inheritBases {
			if first+need <= limit {
				break
			}
		}
	}
	first = max(first, int(slices.Max(files))+1)
	for free := 0; free < need; free++ {
		if isCallers(first + free) {
			first, free = first+free+1, -1
		}
	}
	all := append(make([]uintptr, 0, first+len(files)-std), files[:std]...)
	for fd := std; fd < first; fd++ {
		if isCallers(fd) {
			all = append(all, uintptr(fd))
		} else {
			all = append(all, none)
		}
	}
	return append(all, files[std:]...)
}

// callerDescriptors returns a function that reports whether a descriptor is open and
// is not closed by exec. Such a descriptor is the caller's: idem opens all of its
// descriptors with close-on-exec. One call of poll(2) finds most of the numbers that
// are not open.
func callerDescriptors() func(fd int) bool {
	fds := make([]unix.PollFd, searched)
	for i := range fds {
		fds[i].Fd = int32(i)
	}
	_, err := unix.Poll(fds, 0) // it fails if the limit of open files is lower
	return func(fd int) bool {
		if err == nil && fd < len(fds) && fds[fd].Revents&unix.POLLNVAL != 0 {
			return false
		}
		return isCallers(fd)
	}
}

func isCallers(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// callers is callerDescriptors. The caller can open no descriptor later, so most of them are
// searched only once for all commands of s, which may be nil.
func (s *Signals) callers() func(fd int) bool {
	if s == nil {
		return callerDescriptors()
	}
	s.search.Do(func() {
		found := callerDescriptors()
		for fd := range s.inherited {
			s.inherited[fd] = found(fd)
		}
	})
	return func(fd int) bool {
		return (fd >= len(s.inherited) || s.inherited[fd]) && isCallers(fd) // this process may have closed it
	}
}

// limit returns the largest number of descriptors that this process may have.
func limit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}
