package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ready makes sure, before anything is recorded, of what a run needs that Go's
// runtime or Run could not do without later: at a system call that a sandbox
// refuses, at a descriptor or a thread that a limit refuses, the runtime ends
// the process. It returns why a command cannot be run here, with tty one that gets a
// terminal of its own.
//
// It costs some µs, and more where it makes threads (see reserveThreads). A replay
// needs none of it.
func Ready(tty bool) error {
	if err := Sound(); err != nil {
		return err
	}
	if err := canWait(); err != nil {
		return err
	}
	return reserveThreads(tty)
}

// Sound is the part of Ready that whoever opens a file or sets a timer needs as well.
func Sound() error { return sound() }

var sound = sync.OnceValue(func() error {
	if err := canPoll(); err != nil {
		return err
	}
	return canReadRandom()
})

// moreFiles is the number of descriptors that a call needs in addition to those
// that it has when it comes to canPoll, and those of the runtime.
const moreFiles = 15

// canPoll tries what the runtime does for its first timer or file.
func canPoll() error {
	err := tryPoller()
	if errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("the limit of %d open files (ulimit -n) is too low: %w", limit(), err)
	}
	return err
}

func tryPoller() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer unix.Close(epoll)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd2", err)
	}
	defer unix.Close(event)
	last, err := unix.FcntlInt(uintptr(event), unix.F_DUPFD_CLOEXEC, event+moreFiles)
	if err == unix.EINVAL { // above the limit
		err = unix.EMFILE
	}
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(last)
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	// unix.EpollWait makes another system call than the runtime on some machines.
	var found unix.EpollEvent
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&found)), 1, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("epoll_pwait", errno)
	}
	return nil
}

// canReadRandom tries the source of run ids and secrets, at whose failure crypto/rand
// ends the process. Without the call it reads /dev/urandom.
func canReadRandom() error {
	if _, err := unix.Getrandom(make([]byte, 1), 0); err != nil && err != unix.ENOSYS && err != unix.EINTR {
		return os.NewSyscallError("getrandom", err)
	}
	return nil
}

// canWait asks for the end of a child that cannot be: ourselves.
func canWait() error {
	pid := os.Getpid()
	if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		return os.NewSyscallError("wait4", err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG, nil); err != unix.ECHILD {
		return os.NewSyscallError("waitid", err)
	}
	return nil
}
