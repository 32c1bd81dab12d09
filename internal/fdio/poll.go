// Package fdio reads and writes descriptors that other processes share: they may
// be non-blocking, full, or known to no poller.
package fdio

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// BigPipe is the most bytes that Linux gives a pipe without privileges.
const BigPipe = 1 << 20

// blindly is how long Await pauses where it cannot wait.
const blindly = 10 * time.Millisecond

// Await waits until one of fds is ready, at most ms milliseconds unless that is
// negative, and marks each that is ready in its Revents. It returns true.
//
// A sandbox may refuse ppoll(2), and the kernel may be out of memory. Where
// select(2) cannot help either, Await pauses, marks all of fds as ready and returns
// false. So no error makes a loop around it spin. The caller tries to read or
// write, and a descriptor that it reads should not block.
func Await(fds []unix.PollFd, ms int) (known bool) {
	_, err := poll(fds, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		_, err = choose(fds, ms)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, unix.EINTR):
		forget(fds)
		return true
	}
	pause := blindly
	if ms >= 0 {
		pause = min(pause, time.Duration(ms)*time.Millisecond)
	}
	time.Sleep(pause)
	for i := range fds {
		fds[i].Revents = 0
		if fds[i].Fd >= 0 {
			fds[i].Revents = fds[i].Events
		}
	}
	return false
}

// forget clears the marks of an earlier call: a call that failed makes none.
func forget(fds []unix.PollFd) {
	for i := range fds {
		fds[i].Revents = 0
	}
}

// choose is poll(2) by select(2). It takes no descriptor from FD_SETSIZE on.
func choose(fds []unix.PollFd, ms int) (int, error) {
	forget(fds)
	var in, out unix.FdSet
	most := -1
	for _, f := range fds {
		switch {
		case f.Fd < 0:
			continue
		case int(f.Fd) >= unix.FD_SETSIZE:
			return 0, unix.EINVAL
		case f.Events&unix.POLLIN != 0:
			in.Set(int(f.Fd))
		case f.Events&unix.POLLOUT != 0:
			out.Set(int(f.Fd))
		}
		most = max(most, int(f.Fd))
	}
	var limit *unix.Timeval
	if ms >= 0 {
		t := unix.NsecToTimeval(int64(ms) * 1e6)
		limit = &t
	}
	n, err := unix.Select(most+1, &in, &out, nil, limit)
	if err != nil {
		return n, err
	}
	for i := range fds {
		f := &fds[i]
		switch {
		case f.Fd < 0:
		case in.IsSet(int(f.Fd)):
			f.Revents = unix.POLLIN
		case out.IsSet(int(f.Fd)):
			f.Revents = unix.POLLOUT
		}
	}
	return n, nil
}
