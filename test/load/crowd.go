package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/internal/rig"
)

// together runs n commands at once. Their output goes to files in a directory with the
// given name.
func (l *load) together(name string, n int, env []string, command func(i int) []string) (*rig.Crowd, error) {
	return rig.Together([]string{l.self, "gate"}, filepath.Join(l.dir, name), n, env, command)
}

// durations returns the times of the callers of a crowd.
func durations(c *rig.Crowd) []time.Duration {
	var all []time.Duration
	for _, me := range c.Callers {
		all = append(all, me.Took)
	}
	return all
}

// children are this program in other roles.
var children = map[string]func(args []string) int{
	"gate": rig.Gate,
	// spawn is a minimal Go program that runs a command.
	"spawn": func(command []string) int {
		path, err := exec.LookPath(command[0])
		if err != nil {
			return 98
		}
		pid, err := syscall.ForkExec(path, command, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		var ws unix.WaitStatus
		if err == nil {
			_, err = unix.Wait4(pid, &ws, 0, nil)
		}
		if err != nil {
			return 98
		}
		return ws.ExitStatus()
	},
	"work": command,
	"wait": wait,
}
