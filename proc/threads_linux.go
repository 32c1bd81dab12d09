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

// Go's runtime makes a thread when it has none for a goroutine that could run. If the
// kernel refuses the thread, the runtime ends the process. Between the claim and the
// record, this would leave a key interrupted.
//
// The runtime keeps its threads. So if a limit is near, all threads that a run may need
// are made in advance. If no limit is near, they are not, because this would make a
// first run 4 % slower.
const (
	// runThreads is how many threads a run may need at once. These goroutines may each
	// hold one in a system call:
	//
	//   - the reader of the pipes
	//   - the wait for the child
	//   - the copies of both streams
	//   - a terminal's input
	//   - the wait for a lock
	//   - the receiver of signals
	//
	// The runtime needs three more: its monitor, its poller, and one for goroutines that
	// are locked to a thread.
	runThreads = 10
	// terminalProcesses is how many more a command with a terminal needs. They are for
	// the two other processes of this program (leader.go).
	terminalProcesses = 12
	// limitMargin is the number of free processes and threads below which a limit is
	// near.
	limitMargin = 64
)

// reserveThreads makes the threads of a run if a limit is near. It returns an error
// if the limit leaves no room for them.
func reserveThreads(tty bool) error {
	if !userLimitNear(limitMargin) && !containerLimitNear(limitMargin) {
		return nil
	}
	runtime.GOMAXPROCS(1)
	have, _ := runtime.ThreadCreateProfile(nil)
	missing := max(0, 1+runThreads-have)
	wanted := missing + 1 // the command
	if tty {
		wanted += terminalProcesses
	}
	if !canFork(wanted) {
		return fmt.Errorf("the limit of processes (ulimit -u, or the container's pids.max) is too low: %d are needed", wanted)
	}
	makeThreads(missing)
	return nil
}

// reserveFor makes the threads for up to n commands at once if a limit is near, and returns
// how many commands the limit leaves room for.
func reserveFor(n int) int {
	const each = 3 // the command, and a thread for its wait and one for its pipes
	margin := uint64(limitMargin + each*n)
	if !userLimitNear(margin) && !containerLimitNear(margin) {
		return n
	}
	runtime.GOMAXPROCS(1)
	for ; n > 1; n -= (n + 3) / 4 {
		if canFork(runThreads + each*n) {
			break
		}
	}
	have, _ := runtime.ThreadCreateProfile(nil)
	makeThreads(max(0, 1+runThreads+(each-1)*(n-1)-have))
	return n
}

// makeThreads makes n threads that then wait for work. Each of n goroutines locks
// itself to its thread and waits. So the runtime must make new threads for the other
// goroutines.
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
			runtime.UnlockOSThread() // otherwise the thread would end with the goroutine
			over.Done()
		}()
	}
	all.Wait()
	close(release)
	over.Wait()
}

// userLimitNear reports whether this user may have fewer than margin processes left. It does
// not look at each process. Instead it takes the number of processes of all users,
// which is at least as large.
func userLimitNear(margin uint64) bool {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &l) != nil || l.Cur > math.MaxUint16-margin { // Sysinfo cannot count more
		return false
	}
	var s unix.Sysinfo_t
	return unix.Sysinfo(&s) != nil || l.Cur < uint64(s.Procs)+margin
}

// containerLimitNear reports whether the limit of the root control group of a
// container leaves fewer than margin processes. The root control group of a host has no limit, and no such file.
func containerLimitNear(margin uint64) bool {
	for _, dir := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/pids/"} { // cgroup version 2, then 1
		if most, limited := readNumber(dir + "pids.max"); limited {
			now, ok := readNumber(dir + "pids.current")
			return ok && most < now+margin
		}
	}
	return false
}

// readNumber reads a file that contains only a number. It does not use an os.File,
// which costs more than the read.
func readNumber(file string) (uint64, bool) {
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

// canFork reports whether n processes can be made at once. It makes them: copies of
// this process that only wait for the end of a pipe. There is no other way to find
// out, because the kernel also counts processes that idem cannot see, such as those
// in other containers.
func canFork(n int) bool {
	r, w, err := pipe()
	if err != nil {
		return true // Run will report the error
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

// waiter makes one copy of this process for canFork and returns its process id, or 0
// if it cannot be made. The copy has only one thread, which runs this function. So
// the function must not call the runtime. A signal must not interrupt it either,
// because the runtime would handle it.
//
//go:nosplit
//go:norace
func waiter(r, w int) int {
	const size = 8 // size of a mask, in bytes
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
