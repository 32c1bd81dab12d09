package postgres

import (
	"bytes"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// killAll kills the processes that find returns. It reports whether there were any.
//
// A process ID can belong to another process a moment later. So a process gets a descriptor,
// must be found again, and is killed through the descriptor.
func killAll(find func() []int) bool {
	pids := find()
	if len(pids) == 0 {
		return false
	}
	opened := map[int]int{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ENOSYS) { // Linux before 5.3
			fd, err = -1, nil
		}
		if err == nil {
			opened[pid] = fd
		}
	}
	again := find()
	for pid, fd := range opened {
		switch {
		case !slices.Contains(again, pid):
		case fd < 0:
			_ = unix.Kill(pid, unix.SIGKILL)
		default:
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	return true
}

// isHelper reports whether the arguments of a process are those of a copy of idem that leads
// the session of a command, see proc.Helper.
func isHelper(cmdline []byte) bool {
	return bytes.HasPrefix(cmdline, []byte("idem\x00__tty-leader\x00"))
}
