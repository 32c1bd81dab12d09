//go:build !linux

package proc

import "syscall"

// numbers does nothing on this system.
type numbers struct{}

func (*numbers) forkExec(path string, argv []string, attr *syscall.ProcAttr, _ []uintptr, _ func(fd int) bool) (int, error) {
	return syscall.ForkExec(path, argv, attr)
}

func (*numbers) free() {}
