package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// moreFiles is the number of descriptors that a call needs in addition to those that
// are open when canPoll is called and to the two of the runtime's poller.
const moreFiles = 15

// Room returns how many of n commands can run at once, at least 1. The limits of open files
// and of processes decide. files is the number of descriptors that each command needs.
// Ready must have returned nil.
func Room(n, files int) int {
	const each = 6 // the pipes of one command, while it is started
	const spare = moreFiles + 2*3
	if fits := (limit() - highest() - spare) / (each + files); fits < n {
		n = max(fits, 1)
	}
	return reserveFor(n)
}

// highest returns a number above those of all open descriptors, as far as poll(2) finds
// them.
func highest() int {
	fds := make([]unix.PollFd, min(limit(), 1024))
	for i := range fds {
		fds[i].Fd = int32(i)
	}
	if _, err := unix.Poll(fds, 0); err != nil {
		return 0
	}
	n := len(fds)
	for n > 0 && fds[n-1].Revents&unix.POLLNVAL != 0 {
		n--
	}
	return n
}

// Scarce reports whether err may pass: the start lacked a process, memory or a descriptor.
func Scarce(err error) bool {
	for _, scarce := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, scarce) {
			return true
		}
	}
	return false
}

// TextBusy reports whether err means that a process has the executable file of the command, or
// its interpreter, open for writing. Run has tried to start it for textBusyTimeout.
func TextBusy(err error) bool { return errors.Is(err, unix.ETXTBSY) }

// TooLong reports whether err means that the arguments of a command, with its environment,
// are longer than the system permits.
func TooLong(err error) bool { return errors.Is(err, unix.E2BIG) }
