package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// read runs a command, reads its output from a pipe, and returns its status. The output must
// have as many bytes as count says.
//
// It reads as a small C program does: with one thread, and up to 1 MiB at once. The system call
// does not pass through Go's scheduler, which would wake threads. The buffer begins at a page;
// bench's largeWork says why that matters.
func read(count string, argv []string) (int, error) {
	want, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return 0, err
	}
	buf, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return 0, err
	}
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		return 0, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, uintptr(fds[1]), 2}})
	if err != nil {
		return 0, err
	}
	_ = syscall.Close(fds[1])
	total := int64(0)
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fds[0]), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		if n == 0 {
			break
		}
		total += int64(n)
	}
	var ws syscall.WaitStatus
	_, err = syscall.Wait4(pid, &ws, 0, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(pid, &ws, 0, nil)
	}
	if err == nil && total != want {
		err = fmt.Errorf("output differs: %d bytes instead of %d", total, want)
	}
	return status(ws), err
}
