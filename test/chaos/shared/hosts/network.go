//go:build linux

package hosts

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// The network is 10.77.0.0/24. Its router has the first address.
const (
	network = "10.77.0."
	Router  = network + "1"
)

// Network is a bridge on one of the hosts, which is the router.
type Network struct {
	router *Host
	last   int
}

// NewNetwork makes a bridge on the router.
func NewNetwork(router *Host) (*Network, error) {
	n := &Network{router: router, last: 1}
	return n, n.ip("link add br0 type bridge", "addr add "+Router+"/24 dev br0", "link set br0 up")
}

// Join connects a host to the bridge and returns its address.
func (n *Network) Join(h *Host) (string, error) {
	n.last++
	address := network + strconv.Itoa(n.last)
	wire := wireOf(h)
	_ = n.ip("link del " + wire) // of an earlier time that the host was on
	if err := n.ip(fmt.Sprintf("link add %s type veth peer name eth0 netns %d", wire, h.PID), "link set "+wire+" master br0", "link set "+wire+" up"); err != nil {
		return "", err
	}
	return address, inside(h.PID, func() error { return ip("addr add "+address+"/24 dev eth0", "link set eth0 up") })
}

// Unplug takes the wire of a host out of the bridge, or puts it in again.
func (n *Network) Unplug(h *Host, out bool) error {
	if out {
		return n.ip("link set " + wireOf(h) + " nomaster")
	}
	return n.ip("link set " + wireOf(h) + " master br0")
}

func wireOf(h *Host) string { return "to-" + h.Name }

// Inside calls f on a thread that is in the network of the router. A socket that f makes
// stays there.
func (n *Network) Inside(f func() error) error { return inside(n.router.PID, f) }

func (n *Network) ip(lines ...string) error {
	return inside(n.router.PID, func() error { return ip(lines...) })
}

// ip runs ip(8) once for each line.
func ip(lines ...string) error {
	for _, line := range lines {
		if out, err := exec.Command("sh", "-c", "exec ip "+line).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}

// inside calls f on a thread that is in the network of a process.
func inside(pid int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // without the unlock the thread ends with the goroutine
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err != nil {
			err = fmt.Errorf("the network of process %d: %w", pid, err)
		} else {
			err = f()
		}
		done <- err
	}()
	return <-done
}
