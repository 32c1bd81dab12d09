package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// logBound limits the length of the write-ahead log in bytes. Every call reads the log.
const logBound = 8 << 20

// listKeys is a number of keys whose list does not fit into a pipe.
const listKeys = 3000

// reader checks that an idem list that is not read does not make the log grow, and
// that a log that another program has made grow shrinks after that.
func reader(l *load) error {
	memory, remove, err := l.memoryDir()
	if err != nil {
		return err
	}
	defer remove()
	if err := l.grow(filepath.Join(memory, "ledger"), 0, listKeys, filepath.Join(l.dir, "ledger")); err != nil {
		return err
	}
	if err := l.checkUnreadList(); err != nil {
		return err
	}
	if err := l.checkForeignRead(); err != nil {
		return err
	}
	if err := l.checkListed("ledger", listKeys+2*l.runs+l.runs/10); err != nil {
		return err
	}
	return l.checkLeft("ledger", nil)
}

// checkUnreadList makes runs during an idem list that is not read, and during repeated
// lists that are read. The log must not grow.
func (l *load) checkUnreadList() error {
	unread := l.callIdem("ledger", "list")
	r, err := unread.StdoutPipe()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := unread.Start(); err != nil {
		return err
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil { // it has begun to write
		return errors.Join(fmt.Errorf("idem list wrote nothing: %w", err), unread.Wait())
	}
	var lists int
	var listErr error
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ; listErr == nil; lists++ {
			select {
			case <-stop:
				return
			default:
				listErr = l.callIdem("ledger", "list").Run()
			}
		}
	}()
	longest, err := l.makeRuns("listed", l.runs)
	close(stop)
	<-stopped
	time.Sleep(time.Until(begin.Add(l.last)))
	rest, readErr := io.ReadAll(r)
	err = errors.Join(err, listErr, readErr, unread.Wait())
	held := time.Since(begin)

	l.Count("runs next to a list that is not read", l.runs)
	l.Count("lists that are read at the same time", lists)
	l.Measure("seconds that it was held", held.Seconds())
	l.Count("bytes of the log at most", int(longest))
	switch n := bytes.Count(rest, []byte("\n")); {
	case err != nil:
		return err
	case n != listKeys:
		return fmt.Errorf("the list that was not read has %d of %d keys", n, listKeys)
	case len(rest) <= 64<<10:
		return errors.New("the list fits into a pipe, so the test proves nothing")
	case longest > logBound:
		return fmt.Errorf("the log grew to %d bytes during idem list", longest)
	}
	return nil
}

// checkForeignRead makes runs during a read transaction of another program. The log grows
// until the transaction ends, which idem cannot prevent. It must shrink after that.
func (l *load) checkForeignRead() error {
	held, err := l.helper("hold", filepath.Join(l.dir, "ledger", "ledger.db"))
	if err != nil {
		return err
	}
	in, err := held.StdinPipe()
	if err != nil {
		return err
	}
	out, err := held.StdoutPipe()
	if err != nil {
		return err
	}
	if err := held.Start(); err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return errors.Join(err, held.Wait())
	}
	longest, err := l.makeRuns("foreign", l.runs)
	if err := errors.Join(err, in.Close(), held.Wait()); err != nil {
		return err
	}
	l.Count("bytes of the log during a foreign transaction", int(longest))
	if _, err := l.makeRuns("after", l.runs/10); err != nil {
		return err
	}
	after, err := l.logSize()
	l.Count("bytes of the log after it", int(after))
	if err == nil && after > logBound {
		err = fmt.Errorf("the log has %d bytes although no reader holds it", after)
	}
	return err
}

// makeRuns makes n runs with an output of 16 KiB, a few at a time, and returns
// the greatest length of the log.
func (l *load) makeRuns(name string, n int) (int64, error) {
	const atOnce = 4
	var next, longest atomic.Int64
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() {
			for errs[i] == nil {
				number := next.Add(1)
				if number > int64(n) {
					return
				}
				c := l.callIdem("ledger", "run", "--key", fmt.Sprintf("%s:%d", name, number), "--", "head", "-c", "16384", "/dev/zero")
				size := int64(0)
				if errs[i] = c.Run(); errs[i] == nil {
					size, errs[i] = l.logSize()
				}
				for was := longest.Load(); size > was && !longest.CompareAndSwap(was, size); was = longest.Load() {
				}
			}
		})
	}
	wg.Wait()
	return longest.Load(), errors.Join(errs...)
}

func (l *load) logSize() (int64, error) {
	info, err := os.Stat(filepath.Join(l.dir, "ledger", "ledger.db-wal"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
