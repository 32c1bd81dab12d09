package proc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

// queuePart is a part of the queue of a tee.
type queuePart int

const (
	partNone queuePart = iota
	partRing
	partBacklog
	partTail
)

// next returns the oldest bytes of the queue without removing them. For the backlog
// it returns their offset and number instead. last reports that the queue is empty
// and no more bytes will come.
func (t *tee) next() (from queuePart, p []byte, at, n int64, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.ring.used(); len(p) > 0 {
		return partRing, p, 0, 0, false
	}
	if t.rd < t.wr {
		return partBacklog, nil, t.rd, t.wr - t.rd, false
	}
	if len(t.tail) > 0 {
		return partTail, t.tail, 0, 0, false
	}
	return partNone, nil, 0, 0, t.closed
}

// consume removes n bytes that next has returned.
func (t *tee) consume(from queuePart, n int) {
	t.mu.Lock()
	switch from {
	case partRing:
		t.ring.drop(n)
	case partBacklog:
		t.rd += int64(n)
	case partTail:
		t.tail = t.tail[n:]
	}
	t.mu.Unlock()
	t.signalRoom()
}

// write copies the queue to the caller's descriptor, in a separate goroutine.
func (t *tee) write() {
	defer close(t.done)
	var buf []byte
	for {
		from, p, at, left, last := t.next()
		switch {
		case last:
			t.end(nil)
			return
		case from == partNone:
			<-t.data
			continue
		case from == partBacklog:
			if buf == nil {
				buf = make([]byte, liveWrite)
			}
			p = buf[:min(int64(len(buf)), left)]
			if n, err := t.backlog.ReadAt(p, at); n < len(p) {
				t.end(fmt.Errorf("cannot read back the output kept for a slow reader: %w", err))
				return
			}
		}
		n, err := fdio.Write(t.fd, p[:min(len(p), liveWrite)], fdio.Room)
		t.consume(from, n)
		if err != nil {
			t.end(fdio.WriteError(t.file, err))
			return
		}
	}
}

// end ends the copy. If err is not nil, the copy is incomplete and end stores err,
// unless it means that the reader is gone. The command is not affected.
func (t *tee) end(err error) {
	t.mu.Lock()
	t.dead, t.tail = true, nil
	if err != nil && !ReaderGone(t.file, err) {
		t.err = err
	}
	if t.backlog != nil {
		_ = t.backlog.Close()
	}
	t.mu.Unlock()
	t.signalRoom()
}

func (t *tee) signalRoom() {
	select {
	case t.room <- struct{}{}:
	default:
	}
}

// WriteAll writes p to f. If the reader of f is gone, it returns an error: this process
// does not die of PIPE.
func WriteAll(f *os.File, p []byte) error {
	OutlivePipe()
	return fdio.WriteAll(f, p)
}

// ReaderGone reports whether a write to f failed because its reader is gone: the pipe
// or socket was closed, or the terminal was hung up.
func ReaderGone(f *os.File, err error) bool {
	switch {
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return true
	case errors.Is(err, unix.EIO):
		var st unix.Stat_t // for a regular file, EIO means a broken disk
		return unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR
	}
	return false
}
