package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// ofdSetlk is F_OFD_SETLK of Linux.
const ofdSetlk = 37

// spawns runs a command total times, at most jobs at once. It does what a batch does that
// records nothing. Each command has two pipes and a process group. It is guarded by two
// locks, and inherits one of them. Only Linux has such locks.
func spawns(jobs, total, file string, argv []string) error {
	j, err := strconv.Atoi(jobs)
	n, err2 := strconv.Atoi(total)
	if err != nil || err2 != nil {
		return fmt.Errorf("%s and %s must be numbers", jobs, total)
	}
	locks, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	numbers, failed := make(chan int64), make(chan error, n)
	var workers sync.WaitGroup
	for range j {
		workers.Go(func() {
			for i := range numbers {
				if err := spawnLocked(i, locks, null, argv); err != nil {
					failed <- err
				}
			}
		})
	}
	for i := range n {
		numbers <- int64(i)
	}
	close(numbers)
	workers.Wait()
	close(failed)
	return <-failed
}

// spawnLocked runs one command while it holds both locks.
func spawnLocked(i int64, locks, null *os.File, argv []string) error {
	life, err := os.OpenFile(locks.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer life.Close()
	if err := lock(locks, 2*i, syscall.F_WRLCK); err != nil {
		return err
	}
	if err := lock(life, 2*i+1, syscall.F_WRLCK); err != nil {
		return err
	}
	out, toOut, err := os.Pipe()
	if err != nil {
		return err
	}
	messages, toMessages, err := os.Pipe()
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: os.Environ(), Sys: &syscall.SysProcAttr{Setpgid: true},
		Files: []uintptr{null.Fd(), toOut.Fd(), toMessages.Fd(), life.Fd()},
	})
	toOut.Close()
	toMessages.Close()
	var readers sync.WaitGroup
	for _, pipe := range []*os.File{out, messages} {
		readers.Go(func() {
			_, _ = io.Copy(io.Discard, pipe)
			pipe.Close()
		})
	}
	readers.Wait()
	if err != nil {
		return err
	}
	var ws syscall.WaitStatus
	_, err = syscall.Wait4(pid, &ws, 0, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(pid, &ws, 0, nil)
	}
	if err == nil && ws != 0 {
		err = fmt.Errorf("%s ended with %d", argv[0], status(ws))
	}
	return errors.Join(err, lock(locks, 2*i, syscall.F_UNLCK))
}

func lock(f *os.File, at int64, kind int16) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	return syscall.FcntlFlock(f.Fd(), ofdSetlk, &syscall.Flock_t{Type: kind, Start: at, Len: 1})
}
