//go:build linux

package shared

import (
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
)

// processesOf returns the processes of a call that are alive. A keeper does not have the
// environment of its call, so it is found by its parent, while that lives.
func (r *stage) processesOf(host *hosts.Host, call string) (alive []hosts.Process) {
	all := host.Scan()
	parents := map[int]bool{}
	for _, p := range all {
		if p.Getenv(lab.EnvCall) == call {
			parents[p.PID] = true
		}
	}
	for _, p := range all {
		if parents[p.PID] || r.kindOf(p) == hitKeeper && parents[p.Parent] {
			alive = append(alive, p)
		}
	}
	return alive
}

// killCall kills all processes of a call, until none is found, because one may have been
// about to start another. It returns how many it has killed.
func (r *stage) killCall(host *hosts.Host, call string) (n int) {
	for found := true; found; {
		found = false
		for _, p := range r.processesOf(host, call) {
			if host.Signal(p, unix.SIGKILL, nil) {
				found = true
				n++
			}
		}
	}
	return n
}

// freeze stops all processes of a call, until all that are found are stopped. The function
// that it returns lets them go on.
func (r *stage) freeze(host *hosts.Host, call string) (thaw func()) {
	var stopped []hosts.Process
	for found := true; found; {
		found = false
		for _, p := range r.processesOf(host, call) {
			if p.State != 'T' && host.Signal(p, unix.SIGSTOP, nil) {
				found = true
				stopped = append(stopped, p)
			}
		}
	}
	return func() {
		for _, p := range stopped {
			host.Signal(p, unix.SIGCONT, nil)
		}
	}
}

// checkLeft waits for the last processes of the machines, and reports and kills those that
// remain when all leases must have ended.
func (r *stage) checkLeft() {
	end := time.Now().Add(lab.ExitWithin)
	for _, m := range r.machines {
		host := m.host.Load()
		rest := host.Scan()
		for len(rest) > 0 && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
			rest = host.Scan()
		}
		for _, p := range rest {
			r.trouble.add(noLeftovers, p.Getenv(lab.EnvCall), "on %s: %v", m.name, p)
			host.Signal(p, unix.SIGKILL, nil)
		}
	}
}
