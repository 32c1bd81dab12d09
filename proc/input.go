package proc

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// input copies the stdin of idem to the command's terminal. If stdin is a terminal,
// input reads only while that terminal is raw. Its goroutine may block in a read when
// another process has taken the input first. So stop waits only briefly for its end.
type input struct {
	t      *tty
	from   *os.File
	master int // duplicate of the master in tty
	// A byte in wake means that mayRead may have changed. Its end means stop.
	wakeRead, wake int
	mu             sync.Mutex // guards wake
	over           chan struct{}
}

func newInput(from *os.File, t *tty) (*input, error) {
	in := &input{t: t, from: from, over: make(chan struct{})}
	var err error
	if in.master, err = unix.FcntlInt(uintptr(t.master), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return nil, err
	}
	if in.wakeRead, in.wake, err = pipe(); err != nil {
		_ = unix.Close(in.master)
		return nil, err
	}
	_ = unix.SetNonblock(in.wakeRead, true)
	return in, nil
}

// recheck makes the goroutine check mayRead again.
func (in *input) recheck() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wake >= 0 {
		_, _ = unix.Write(in.wake, []byte{0})
	}
}

// stop ends the copy. Afterwards input does not use the slave.
func (in *input) stop() {
	in.mu.Lock()
	if in.wake >= 0 {
		_ = unix.Close(in.wake)
		in.wake = -1
	}
	in.mu.Unlock()
	if !in.t.begun.Load() {
		_ = unix.Close(in.master)
		_ = unix.Close(in.wakeRead)
		return
	}
	select {
	case <-in.over:
	case <-time.After(100 * time.Millisecond):
	}
}

func (in *input) run() {
	defer close(in.over)
	defer unix.Close(in.master)
	defer unix.Close(in.wakeRead)
	buf := make([]byte, 4096)
	for {
		from := int32(in.from.Fd())
		if !in.mayRead() {
			from = -1
		}
		ready, over := in.wait(from, unix.POLLIN, -1)
		if over {
			return
		}
		if !ready || !in.mayRead() {
			continue
		}
		n, err := unix.Read(int(from), buf)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil || n == 0: // EIO: the caller's terminal is gone
			in.atEnd()
			return
		}
		if !in.write(buf[:n]) {
			return
		}
	}
}

func (in *input) mayRead() bool { return in.t.own.fd < 0 || in.t.own.raw.Load() }

// wait waits until fd is ready or wake is written or closed, for at most ms
// milliseconds. A negative ms means no limit. over reports whether the copy must end.
func (in *input) wait(fd int32, events int16, ms int) (ready, over bool) {
	fds := []unix.PollFd{{Fd: int32(in.wakeRead), Events: unix.POLLIN}, {Fd: fd, Events: events}}
	fdio.Await(fds, ms)
	if fds[0].Revents != 0 {
		var b [64]byte
		if n, err := unix.Read(in.wakeRead, b[:]); n == 0 && err == nil {
			return false, true
		}
	}
	return fds[1].Revents != 0, false
}

// write writes p to the terminal, whose buffer for unread input is limited. It
// returns false if the copy must end.
func (in *input) write(p []byte) bool {
	for len(p) > 0 {
		n, err := fdio.Write(in.master, p, in.room)
		if err != nil || n == 0 {
			return false
		}
		p = p[n:]
	}
	return true
}

// room waits until the terminal takes more input. It returns false if the copy must
// end.
func (in *input) room(fd int) bool {
	_, over := in.wait(int32(fd), unix.POLLOUT, -1)
	return !over
}

// These are the first and the longest interval at which atEnd checks whether the
// command has read the end of the input.
const (
	endLook    = 10 * time.Millisecond
	endLookMax = 500 * time.Millisecond
)

// atEnd lets the command read the end of the input. A terminal has no permanent end,
// only a key that ends one read. So atEnd sends the key again each time after a
// process has read it. A command that reads keys instead of lines gets the key once.
func (in *input) atEnd() {
	pressed := false
	for delay := endLook; ; delay = min(2*delay, endLookMax) {
		waiting := []unix.PollFd{{Fd: int32(in.t.slave), Events: unix.POLLIN}}
		known := fdio.Await(waiting, 0)
		modes, merr := unix.IoctlGetTermios(in.t.slave, getTermios)
		if lines := merr == nil && modes.Lflag&unix.ICANON != 0; merr == nil && (!known || waiting[0].Revents == 0) && (lines || !pressed) {
			key := modes.Cc[unix.VEOF]
			if key == 0 || key == 0xff { // the terminal has no such key
				key = 4 // Ctrl-D
			}
			if !in.write([]byte{key}) {
				return
			}
			pressed = pressed || !lines
			if known {
				delay = endLook
			}
		}
		if _, over := in.wait(-1, 0, int(delay.Milliseconds())); over {
			return
		}
	}
}
