package proc

import (
	"os"
	"sync"
	"time"
)

const (
	smallRing = 64 << 10
	bigRing   = 1 << 20
	// liveWrite is the largest size of one write. The ring gets room only when a
	// write has returned.
	liveWrite = 64 << 10
	// patience is how long the pump waits for a slow reader. If the reader takes less
	// than 64 KiB in this time, the output goes to the backlog.
	patience = 10 * time.Millisecond
)

// tee is the live copy of one stream. The pump fills it. A separate goroutine writes
// to the caller's descriptor with blocking writes. The queue between the two has
// these parts, from the oldest bytes to the newest:
//
//	ring     memory, at most 1 MiB
//	backlog  a file, used while the reader does not keep up
//	tail     memory, at most the size of the pipes: the last output of a command
//	         that has ended, when there is no backlog and the ring is full
//
// A tee may serve several runs, one after the other. Each may leave a tail.
//
// A nil tee copies nothing.
type tee struct {
	fd          int
	file        *os.File // keeps fd open
	makeBacklog func() (Backlog, error)

	mu        sync.Mutex
	ring      ring
	backlog   Backlog
	behind    bool  // output goes to the backlog
	rd, wr    int64 // the range of the backlog that is still to be written out
	noBacklog bool  // there is no backlog, or it is full: the command waits for the reader
	tail      []byte
	started   bool
	closed    bool
	dead      bool  // the reader is gone or a write failed; nothing more is copied
	err       error // why it is dead; nil if the reader is gone

	data chan struct{} // there are bytes to write, or the tee is closed
	room chan struct{} // bytes were written
	done chan struct{} // closed when the writer has ended
}

func newTee(f *os.File, makeBacklog func() (Backlog, error)) *tee {
	if f == nil {
		return nil
	}
	return &tee{
		fd: int(f.Fd()), file: f, makeBacklog: makeBacklog, noBacklog: makeBacklog == nil,
		data: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// space returns room to read into. It returns nil if the output must be passed to
// spill instead. If the ring is full, space waits up to patience for the reader.
// Without a backlog it waits until the command has ended, as the command would have
// waited itself.
func (t *tee) space(ended <-chan struct{}) []byte {
	if t == nil {
		return nil
	}
	var timeout <-chan time.Time
	for {
		t.mu.Lock()
		if t.ring.buf == nil {
			t.ring.buf = make([]byte, smallRing)
		}
		if t.behind && t.rd == t.wr {
			t.caughtUp()
		}
		if t.dead || t.behind || len(t.tail) > 0 {
			t.mu.Unlock()
			return nil
		}
		free, wait := t.ring.free(), t.noBacklog
		t.mu.Unlock()
		if free != nil {
			return free
		}
		if !wait && timeout == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		if wait {
			timeout = nil
		}
		select {
		case <-t.room:
		case <-timeout:
			t.fallBehind()
			return nil
		case <-ended:
			if wait {
				return nil
			}
			t.fallBehind()
			return nil
		}
	}
}

// commit adds to the queue n bytes that were read into the slice that space returned.
func (t *tee) commit(n int) {
	t.mu.Lock()
	t.ring.add(n)
	t.mu.Unlock()
	t.wakeWriter()
}

// grow enlarges the ring for a command that writes much.
func (t *tee) grow() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring.buf) < bigRing {
		t.ring.grow(bigRing)
	}
}

// fallBehind switches to the backlog. Making the file may take time, so it is done
// without the lock. Only the pump's goroutine calls fallBehind.
func (t *tee) fallBehind() {
	var f Backlog
	var err error
	fresh := t.backlog == nil && !t.noBacklog
	if fresh {
		f, err = t.makeBacklog()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case fresh && t.dead: // the writer has ended in between, so end did not close f
		if f != nil {
			_ = f.Close()
		}
	case fresh && (err != nil || f == nil):
		t.noBacklog = true
	case fresh:
		t.backlog = f
	}
	t.behind = t.backlog != nil && !t.noBacklog
}

// caughtUp switches back to the ring and frees the disk space of the backlog.
func (t *tee) caughtUp() {
	if t.wr > 0 {
		_ = t.backlog.Truncate(0)
	}
	t.behind, t.rd, t.wr = false, 0, 0
}

// spill passes on output when space has returned nil.
func (t *tee) spill(p []byte, ended <-chan struct{}) {
	if t == nil {
		return
	}
	t.mu.Lock()
	behind, at := t.behind && !t.noBacklog && len(t.tail) == 0, t.wr
	t.mu.Unlock()
	if behind {
		n, err := t.backlog.WriteAt(p, at)
		t.mu.Lock()
		t.wr += int64(n)
		t.noBacklog = err != nil
		t.mu.Unlock()
		t.wakeWriter()
		p = p[n:]
	}
	for len(p) > 0 {
		t.mu.Lock()
		if t.behind && t.rd == t.wr {
			t.caughtUp()
		}
		over := false
		select {
		case <-ended:
			over = true
		default:
		}
		switch {
		case t.dead:
			p = nil
		case over: // at most the content of the pipe
			t.tail = append(t.tail, p...)
			p = nil
		case !t.behind && len(t.tail) == 0: // a tail can only be from an earlier run
			n := copy(t.ring.free(), p)
			t.ring.add(n)
			p = p[n:]
		}
		t.mu.Unlock()
		t.wakeWriter()
		if len(p) > 0 {
			select {
			case <-t.room:
			case <-ended:
			}
		}
	}
}

// fault returns why the copy is incomplete, or nil.
func (t *tee) fault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// close ends the input of the tee. It returns false if the tee has never had anything
// to copy.
func (t *tee) close() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	t.closed = true
	started := t.started
	t.mu.Unlock()
	if started {
		t.wakeWriter()
	}
	return started
}

// settle waits until the reader has taken everything, for at most the given time.
func (t *tee) settle(most time.Duration) {
	if t == nil {
		return
	}
	timeout := time.After(most)
	for {
		t.mu.Lock()
		idle := t.dead || len(t.ring.used()) == 0 && t.rd == t.wr && len(t.tail) == 0
		t.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-t.room:
		case <-timeout:
			return
		}
	}
}

func (t *tee) wakeWriter() {
	if !t.started { // only the pump's goroutine sets started
		t.mu.Lock()
		t.started = true
		t.mu.Unlock()
		go t.write()
	}
	select {
	case t.data <- struct{}{}:
	default:
	}
}
