package spool

import (
	"os"
	"sync"
	"sync/atomic"
)

// backAt is the number of bytes after which the kernel is told to write them to the disk.
const backAt = 8 << 20

// writeBack makes the kernel begin early to write a growing file to the disk. Without that, the
// kernel waits for seconds, and then the sync at the end has to write all of the file. A
// goroutine does it, because a slow disk must not hold up the command.
type writeBack struct {
	told  int64 // the kernel is told to write the file up to here
	busy  atomic.Bool
	group sync.WaitGroup
}

// grown is called when f has grown to size.
func (b *writeBack) grown(f *os.File, size int64) {
	from := b.told
	if size-from < backAt || !b.busy.CompareAndSwap(false, true) {
		return
	}
	b.told = size
	b.group.Go(func() {
		startWriteBack(f, from, size-from)
		b.busy.Store(false)
	})
}

// wait is called before the file is closed.
func (b *writeBack) wait() { b.group.Wait() }
