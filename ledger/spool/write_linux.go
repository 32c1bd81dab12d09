package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeParts writes h and then p to f at an offset, with one write unless the disk is full.
func writeParts(f *os.File, h, p []byte, at int64) error {
	parts := [][]byte{h, p}
	for len(parts[1]) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), parts, at)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("pwritev", err)
		}
		at += int64(n)
		inHeader := min(n, len(parts[0]))
		parts[0], parts[1] = parts[0][inHeader:], parts[1][n-inHeader:]
	}
	return nil
}

// startWriteBack tells the kernel to begin to write n bytes of f from an offset on to the
// disk. It waits only if the kernel has no room for more requests. The sync at the end reports
// an error of the disk.
func startWriteBack(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE)
}
