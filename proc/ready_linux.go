package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ready checks that a command can be run here, before anything is recorded. tty says
// that the command gets its own terminal.
//
// Go's runtime ends the process if a sandbox refuses a system call, or a limit
// refuses a descriptor or a thread. Ready tries what the runtime and Run need later,
// and returns the reason if it is refused.
//
// Ready costs a few µs, and more if it makes threads (see reserveThreads). A replay
// does not need it.
func Ready(tty bool) error {
	if err := Sound(); err != nil {
		return err
	}
	if err := canWait(); err != nil {
		return err
	}
	return reserveThreads(tty)
}

// Sound is the part of Ready that is also needed to open a file or set a timer.
func Sound() error { return sound() }

var sound = sync.OnceValue(func() error {
	if err := canPoll(); err != nil {
		return err
	}
	return canReadRandom()
})

// canPoll tries the system calls of the runtime for its first timer or file.
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
	if err == unix.EINVAL { // the number is above the limit
		err = unix.EMFILE
	}
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(last)
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	// On some architectures, unix.EpollWait does not make the same system call as the
	// runtime.
	var found unix.EpollEvent
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&found)), 1, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("epoll_pwait", errno)
	}
	return nil
}

// canReadRandom tries getrandom(2), the source of run ids and secrets. If it fails,
// crypto/rand ends the process. If the kernel does not have it (ENOSYS), crypto/rand
// reads /dev/urandom.
func canReadRandom() error {
	if _, err := unix.Getrandom(make([]byte, 1), 0); err != nil && err != unix.ENOSYS && err != unix.EINTR {
		return os.NewSyscallError("getrandom", err)
	}
	return nil
}

// canWait tries to wait for a child that cannot exist: this process itself.
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
