//go:build !linux

package proc

import (
	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// poller is fdio.Await on this system.
type poller struct{}

func newPoller() *poller { return nil }

func (*poller) await(fds []unix.PollFd) (known bool) { return fdio.Await(fds, -1) }
func (*poller) end()                                 {}

func canPollProcess() bool { return false }
