package proc

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// poller waits as fdio.Await does, but without a thread: the goroutine waits in the poller of
// Go's runtime. A thread in ppoll(2) is noticed by a thread of the runtime, which then looks
// every 20 µs.
//
// It has an epoll instance, whose descriptor the runtime polls.
type poller struct {
	file   *os.File
	conn   syscall.RawConn
	fd     int
	polled []int32 // the descriptors in the instance, -1 for none
}

var idlePollers struct {
	sync.Mutex
	all []*poller
}

// newPoller returns nil if the system has no poller.
func newPoller() *poller {
	idlePollers.Lock()
	defer idlePollers.Unlock()
	if n := len(idlePollers.all); n > 0 {
		p := idlePollers.all[n-1]
		idlePollers.all = idlePollers.all[:n-1]
		return p
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	_ = unix.SetNonblock(fd, true) // or the runtime does not poll it
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil
	}
	return p
}

// await is fdio.Await without a limit. A descriptor whose Fd the caller has set to -1 must
// still be open.
func (p *poller) await(fds []unix.PollFd) (known bool) {
	if p == nil || !p.set(fds) {
		return fdio.Await(fds, -1)
	}
	var events [4]unix.EpollEvent
	n, failed := 0, error(nil)
	err := p.conn.Read(func(uintptr) bool {
		for { // the runtime does not report again what came before EINTR
			if n, failed = unix.EpollWait(p.fd, events[:], 0); !errors.Is(failed, unix.EINTR) {
				return n != 0
			}
		}
	})
	if err != nil || failed != nil {
		return fdio.Await(fds, -1)
	}
	for i := range fds {
		fds[i].Revents = 0
	}
	for _, e := range events[:n] {
		fds[e.Fd].Revents = int16(e.Events)
	}
	return true
}

// set makes fds the polled descriptors.
func (p *poller) set(fds []unix.PollFd) bool {
	for i, f := range fds {
		if i == len(p.polled) {
			p.polled = append(p.polled, -1)
		}
		if p.polled[i] == f.Fd {
			continue
		}
		p.remove(i)
		if f.Fd < 0 {
			continue
		}
		// The Fd of an event is data of this package: an index.
		if unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(f.Fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}) != nil {
			return false
		}
		p.polled[i] = f.Fd
	}
	return true
}

func (p *poller) remove(i int) {
	if fd := p.polled[i]; fd >= 0 {
		_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
		p.polled[i] = -1
	}
}

// end ends the use of p. The descriptors that it polls must still be open: a process that is
// being started may have a copy, which would stay in the instance.
func (p *poller) end() {
	if p == nil {
		return
	}
	for i := range p.polled {
		p.remove(i)
	}
	idlePollers.Lock()
	defer idlePollers.Unlock()
	idlePollers.all = append(idlePollers.all, p)
}

// canPollProcess reports whether the end of a process can be waited for with poll(2), which
// Linux has since version 5.3.
var canPollProcess = sync.OnceValue(func() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
})
