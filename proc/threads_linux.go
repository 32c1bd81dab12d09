package proc

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Go's runtime makes a thread whenever it finds none for a goroutine that could
// run, and where the kernel refuses one it ends the process. Between the claim and
// the record that would leave a key interrupted. Threads are never given back, so
// where a limit is near, all that a run can come to need are made before. Elsewhere
// that would make a first run 4 % slower.
const (
	// atOnce is how many goroutines of a run may each hold a thread in a system
	// call: the reader of the pipes, the wait for the child, the copies of both
	// streams, a terminal's input, the wait for a lock, the receiver of signals;
	// and the runtime's own: its monitor, its poller, one for threads that are locked.
	atOnce = 10
	// forTerminal is how many more a command with a terminal needs, for the two
	// processes of this program around it (leader.go).
	forTerminal = 12
	// nearby is how few processes and threads more than there are make a limit near.
	nearby = 64
)

// haveThreads makes the threads of a run where a limit is near, unless there is no
// room for them.
func haveThreads(tty bool) error {
	if !userLimitNear() && !containerLimitNear() {
		return nil
	}
	runtime.GOMAXPROCS(1)
	have, _ := runtime.ThreadCreateProfile(nil)
	missing := max(0, 1+atOnce-have)
	wanted := missing + 1 // the command
	if tty {
		wanted += forTerminal
	}
	if !room(wanted) {
		return fmt.Errorf("the limit of processes (ulimit -u, or the container's pids.max) is too low: %d are needed", wanted)
	}
	makeThreads(missing)
	return nil
}

// makeThreads makes n threads that then wait for work. A goroutine that is locked
// to its thread and waits makes the runtime find another thread for those that do not.
func makeThreads(n int) {
	var all, over sync.WaitGroup
	all.Add(n)
	over.Add(n)
	release := make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			all.Done()
			<-release
			runtime.UnlockOSThread() // else the thread would end with the goroutine
			over.Done()
		}()
	}
	all.Wait()
	close(release)
	over.Wait()
}

// userLimitNear reports whether this user's limit of processes may be near,
// without a look at each process: all users together have at least as many.
func userLimitNear() bool {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &l) != nil || l.Cur > math.MaxUint16-nearby { // what Sysinfo can count
		return false
	}
	var s unix.Sysinfo_t
	return unix.Sysinfo(&s) != nil || l.Cur < uint64(s.Procs)+nearby
}

// containerLimitNear reports the same of the control group that a container sees as
// its root. The host's own root has no limit, and no such file.
func containerLimitNear() bool {
	for _, dir := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/pids/"} { // version 2 and 1
		if most, limited := number(dir + "pids.max"); limited {
			now, ok := number(dir + "pids.current")
			return ok && most < now+nearby
		}
	}
	return false
}

// number reads a file that has nothing but a number. It does without an os.File,
// which costs more than the read.
func number(file string) (uint64, bool) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var b [32]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return 0, false
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 64)
	return v, err == nil
}

// room reports whether n processes can be made at once, by making them: they
// are copies of this one that do nothing but wait for the end of a pipe. Nothing
// else tells, since the kernel counts what we may not see, e.g. in other containers.
func room(n int) bool {
	r, w, err := pipe()
	if err != nil {
		return true // that is for others to tell
	}
	defer unix.Close(r)
	pids := make([]int, 0, n)
	for len(pids) < n {
		pid := waiter(r, w)
		if pid <= 0 {
			break
		}
		pids = append(pids, pid)
	}
	_ = unix.Close(w)
	for _, pid := range pids {
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
	return len(pids) == n
}

// waiter makes one such copy and returns its process id, 0 if it cannot be made.
// In the copy nothing runs but this function, since it has no other thread; so it
// must not need the runtime, nor be interrupted by a signal, which is the
// runtime's as well.
//
//go:nosplit
//go:norace
func waiter(r, w int) int {
	const size = 8 // of a mask, in bytes
	all, before := ^uint64(0), uint64(0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&before)), size, 0, 0)
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		var b byte
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(w), 0, 0)
		unix.RawSyscall(unix.SYS_READ, uintptr(r), uintptr(unsafe.Pointer(&b)), 1)
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, size, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(pid)
}
