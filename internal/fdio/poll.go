// Package fdio reads and writes descriptors that are shared with other processes.
// Such a descriptor may be non-blocking, full, or not supported by the runtime's
// poller.
package fdio

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// BigPipe is the largest size of a pipe on Linux without privileges, in bytes.
const BigPipe = 1 << 20

// blindPause is how long Await sleeps where no system call can wait for it.
const blindPause = 10 * time.Millisecond

// Await waits until one of fds is ready, for at most ms milliseconds; a negative ms
// means no limit. It marks each ready descriptor in its Revents and returns true.
//
// A sandbox may refuse ppoll(2), and the kernel may be out of memory. Await then
// tries select(2). If that fails too, Await sleeps, marks all of fds as ready and
// returns false. So a loop around Await never spins because of an error. The caller
// tries to read or write after Await; a descriptor that it reads should not block.
func Await(fds []unix.PollFd, ms int) (known bool) {
	_, err := poll(fds, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		_, err = pollBySelect(fds, ms)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, unix.EINTR):
		clearRevents(fds)
		return true
	}
	pause := blindPause
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

// clearRevents clears the marks of an earlier call, because a failed call does not
// set them.
func clearRevents(fds []unix.PollFd) {
	for i := range fds {
		fds[i].Revents = 0
	}
}

// pollBySelect is poll(2), implemented with select(2). It returns EINVAL for a
// descriptor from FD_SETSIZE on.
func pollBySelect(fds []unix.PollFd, ms int) (int, error) {
	clearRevents(fds)
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
