//go:build !linux

package proc

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// poll is poll(2) by select(2): that of macOS does not know terminals.
func poll(fds []unix.PollFd, ms int) (int, error) {
	var in, out unix.FdSet
	most := -1
	for _, f := range fds {
		switch {
		case f.Fd < 0:
			continue
		case int(f.Fd) >= unix.FD_SETSIZE:
			return unix.Poll(fds, ms)
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
	for i := range fds {
		f := &fds[i]
		f.Revents = 0
		switch {
		case err != nil || f.Fd < 0:
		case in.IsSet(int(f.Fd)):
			f.Revents = unix.POLLIN
		case out.IsSet(int(f.Fd)):
			f.Revents = unix.POLLOUT
		}
	}
	return n, err
}
