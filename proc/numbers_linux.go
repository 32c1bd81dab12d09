package proc

import (
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// numbers are descriptors of this process that have the numbers at which its commands
// inherit Command.Inherit. Without them, the child moves its descriptors itself, and
// ForkExec closes each lower number with one system call. This is a sixth of the cost of
// a start, so a Signals that serves many commands reserves the numbers.
//
// Files that exec closes keep the numbers reserved. The files of a command replace them
// while the command is started.
type numbers struct {
	starts   atomic.Int32
	reserved atomic.Bool
	// starting guards these fields.
	first int // 0 if none are reserved
	count int
	null  *os.File
	over  bool
}

// manyStarts is the number of starts after which a Signals reserves numbers. The first
// time takes 10 ms, because the kernel enlarges the table of descriptors (see childFiles).
const manyStarts = 16

// forkExec is syscall.ForkExec for a child with the descriptors attr.Files, a result of
// childFiles for files.
func (n *numbers) forkExec(path string, argv []string, attr *syscall.ProcAttr, files []uintptr, isCallers func(fd int) bool) (int, error) {
	given := files[std:]
	if n == nil || len(given) == 0 || !n.reserved.Load() {
		if n != nil && n.starts.Add(1) == manyStarts && len(given) > 0 {
			go n.reserve(len(attr.Files)-len(given), len(given))
		}
		starting.RLock()
		defer starting.RUnlock()
		return syscall.ForkExec(path, argv, attr)
	}
	starting.Lock()
	defer starting.Unlock()
	if !n.fit(files, attr.Files, isCallers) {
		return syscall.ForkExec(path, argv, attr)
	}
	defer n.take()
	for i, fd := range given {
		if err := unix.Dup3(int(fd), n.first+i, 0); err != nil {
			return 0, err
		}
	}
	attr.Files = files[:std]
	return syscall.ForkExec(path, argv, attr)
}

// reserve reserves count numbers from first on, if they are free.
func (n *numbers) reserve(first, count int) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return
	}
	for i := range count {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, first+i)
		if err == nil && fd == first+i {
			continue
		}
		if err == nil {
			_ = unix.Close(fd)
		}
		closeRange(first, i)
		null.Close()
		return
	}
	starting.Lock()
	defer starting.Unlock()
	n.first, n.count, n.null = first, count, null
	n.reserved.Store(true)
	if n.over {
		n.release()
	}
}

// fit reports whether files would get the reserved numbers and nothing else would change,
// where all is the result of childFiles for them.
func (n *numbers) fit(files, all []uintptr, isCallers func(fd int) bool) bool {
	if n.first == 0 || len(files) != std+n.count || len(all) != n.first+n.count {
		return false
	}
	// ForkExec overwrites some numbers above the greatest of its files, see childFiles.
	top := int(slices.Max(files[:std]))
	for fd := top + 1; fd <= top+2*std; fd++ {
		if fd >= n.first || isCallers(fd) {
			return false
		}
	}
	return true
}

// take reserves the numbers again.
func (n *numbers) take() {
	for i := range n.count {
		if unix.Dup3(int(n.null.Fd()), n.first+i, unix.O_CLOEXEC) != nil {
			n.release() // this process must not keep the lock of a key
			return
		}
	}
}

// free ends the reservation.
func (n *numbers) free() {
	starting.Lock()
	defer starting.Unlock()
	n.over = true
	n.release()
}

// release is free for a caller that holds starting.
func (n *numbers) release() {
	if n.first > 0 {
		closeRange(n.first, n.count)
		n.null.Close()
		n.first = 0
	}
}

func closeRange(first, count int) {
	for i := range count {
		_ = unix.Close(first + i)
	}
}
