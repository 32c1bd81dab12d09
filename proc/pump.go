package proc

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

const (
	smallRead = 64 << 10  // the initial size of a pipe
	bigRead   = 256 << 10 // after growAt bytes of output
	growAt    = 32 << 10  // most commands write less
)

// source is the read end of one of the command's outputs.
type source struct {
	stream   Stream
	fd       int // read end, non-blocking; the flag does not affect the command's end
	writeEnd int
	terminal bool // fd is the master of a terminal
	seen     int64
	grown    bool
	size     int // the most bytes of one read
	tee      *tee
	// run sets these fields at its end.
	open   bool  // a process can still write to the stream
	unread int64 // number of bytes that will not be read
}

// pump reads both pipes in one goroutine. Two goroutines would change the order of
// the output of the two streams more than one poll loop does.
type pump struct {
	record   func(Stream, []byte)
	out, err *source
	wakeRead int
	wake     int    // write end; a byte means that the child has stopped, its end that it was reaped
	child    *child // not nil: run reaps it, and nothing wakes the pump
	tty      *tty   // nil: the command writes to pipes
	spare    []byte // buffer for reads when the tee has no room
}

func newPump(c *Command, k *child) (*pump, error) {
	t := k.tty
	p := &pump{record: c.Record, tty: t}
	// One pipe wakes the pump. Each stream has one too, unless a terminal has both.
	fds := [6]int{-1, -1, -1, -1, -1, -1}
	first, pipes := 0, len(fds)
	switch {
	case t != nil:
		pipes = 2
	case c.Joined:
		pipes = 4
	}
	if c.reapsItself() {
		first, p.child = 2, k
	}
	for i := first; i < pipes; i += 2 {
		r, w, err := pipe()
		if err == nil {
			fds[i], fds[i+1] = r, w
			// Another process may open /proc/self/fd/1 and read the output that poll
			// reported. So a read must never block.
			err = unix.SetNonblock(r, true)
		}
		if err != nil {
			for _, fd := range fds {
				if fd >= 0 {
					_ = unix.Close(fd)
				}
			}
			return nil, os.NewSyscallError("pipe", err)
		}
	}
	p.wakeRead, p.wake = fds[0], fds[1]
	tees := [2]*tee{newTee(c.Stdout, c.Backlog), newTee(c.Stderr, c.Backlog)}
	if c.Earlier != nil {
		tees = c.Earlier.tees
	}
	p.out = &source{stream: Stdout, fd: fds[2], writeEnd: fds[3], size: smallRead, tee: tees[0]}
	p.err = &source{stream: Stderr, fd: fds[4], writeEnd: fds[5], size: smallRead, tee: tees[1]}
	if t != nil {
		p.out.fd, p.out.terminal = t.master, true
	}
	return p, nil
}

func (p *pump) closeWriteEnds() {
	for _, s := range []*source{p.out, p.err} {
		if s.writeEnd >= 0 {
			_ = unix.Close(s.writeEnd)
		}
	}
}

// close closes the read ends. A later writer gets SIGPIPE, or HUP if it was a
// terminal.
func (p *pump) close() {
	for _, fd := range []int{p.out.fd, p.err.fd, p.wakeRead} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// run passes output on until the child has ended and its output in the pipes is read.
// It does not wait for the end of the pipes, because background processes of the
// child may hold them forever.
func (p *pump) run(ended <-chan struct{}) {
	sources := []*source{p.out, p.err}
	fds := []unix.PollFd{
		{Fd: int32(p.out.fd), Events: unix.POLLIN},
		{Fd: int32(p.err.fd), Events: unix.POLLIN},
		{Fd: int32(p.wakeRead), Events: unix.POLLIN},
	}
	await := func() { fdio.Await(fds, -1) }
	if p.child != nil {
		var end func()
		await, end = p.child.proc.poll(fds)
		defer end()
	}
	for {
		await()
		for i, s := range sources {
			if fds[i].Revents == 0 {
				continue
			}
			if _, open := p.read(s, s.size, ended); !open {
				fds[i].Fd = -1 // poll ignores it
			}
		}
		if fds[2].Revents == 0 {
			continue
		}
		stopped, over := p.childState()
		if over {
			break
		}
		if !stopped {
			continue
		}
		p.drain(sources, fds, ended)
		p.tty.suspend(p.out.tee)
	}
	// The child has ended, so all of its output is in the pipes.
	p.tty.endOfInput()
	p.drain(sources, fds, ended)
	p.tty.closeSlave()
	end := time.Now().Add(grace)
	p.linger(sources, fds[:len(sources)], end, ended)
	p.noteLeftover(sources, fds[:len(sources)], end, ended)
}

// childState reports whether the child was stopped or is over since the last call.
// Both results are false if neither has happened.
func (p *pump) childState() (stopped, over bool) {
	if p.child != nil {
		return false, p.child.reap()
	}
	var b [1]byte
	for {
		n, err := unix.Read(p.wakeRead, b[:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false, false
		default:
			return n > 0, n <= 0
		}
	}
}

// drain reads the bytes that are in the pipes when it is called. It does not wait for
// more.
func (p *pump) drain(sources []*source, fds []unix.PollFd, ended <-chan struct{}) {
	for i, s := range sources {
		if fds[i].Fd < 0 {
			continue
		}
		left, err := s.buffered()
		for err == nil && left > 0 {
			n, open := p.read(s, left, ended)
			if !open {
				fds[i].Fd = -1
			}
			if n == 0 || !open {
				break
			}
			left -= n
		}
	}
}

// buffered returns how many bytes can be read. For a terminal, the kernel reports
// only a part of them. A terminal holds less than 1 MiB, so buffered returns 1 MiB. A
// read from it returns EAGAIN only when it is empty.
func (s *source) buffered() (int, error) {
	if s.terminal {
		return fdio.BigPipe, nil
	}
	return buffered(s.fd)
}

// grace is how long the pipes are read after the command's end. The command may have
// put a filter before its own output, such as `exec > >(tee log)` in bash. The filter
// then still passes on the last output, and ends when it has done so.
const grace = 500 * time.Millisecond

// linger reads until the end of the pipes. If a process holds them longer, linger
// stops at the time end, or after 1 MiB, the most that a pipe holds.
func (p *pump) linger(sources []*source, fds []unix.PollFd, end time.Time, ended <-chan struct{}) {
	for most := fdio.BigPipe; fds[0].Fd >= 0 || fds[1].Fd >= 0; {
		left := untilMillis(end)
		if left <= 0 || most <= 0 {
			return
		}
		fdio.Await(fds, left)
		for i, s := range sources {
			if fds[i].Revents == 0 {
				continue
			}
			n, open := p.read(s, s.size, ended)
			if !open {
				fds[i].Fd = -1
			}
			most -= n
		}
	}
}

// untilMillis returns the time until end in milliseconds, for poll. It returns 0 if
// end has passed.
func untilMillis(end time.Time) int {
	left := time.Until(end)
	if left <= 0 {
		return 0
	}
	return int(left.Milliseconds()) + 1
}

// noteLeftover drains the pipes a last time. Then it sets the fields open and unread
// of each source that has not reached its end by the time end.
func (p *pump) noteLeftover(sources []*source, fds []unix.PollFd, end time.Time, ended <-chan struct{}) {
	p.drain(sources, fds, ended)
	for i, s := range sources {
		if fds[i].Fd < 0 {
			continue
		}
		known := fdio.Await(fds[i:i+1], untilMillis(end))
		for known && fds[i].Revents == 0 && untilMillis(end) > 0 {
			known = fdio.Await(fds[i:i+1], untilMillis(end))
		}
		n := 0
		if fds[i].Revents != 0 {
			if n, _ = buffered(s.fd); n == 0 && known && !s.terminal {
				continue // the end of the pipe
			}
		}
		s.open, s.unread = true, int64(n)
	}
}

// read reads at most limit bytes from a source with one read, and passes them on. It
// returns the number of bytes, and false at the end of the pipe.
func (p *pump) read(s *source, limit int, ended <-chan struct{}) (int, bool) {
	buf := s.tee.space(ended)
	spare := buf == nil
	if spare {
		if len(p.spare) < s.size {
			p.spare = make([]byte, s.size)
		}
		buf = p.spare
	}
	n, err := unix.Read(s.fd, buf[:min(len(buf), s.size, limit)])
	switch {
	case err == unix.EINTR || err == unix.EAGAIN:
		return 0, true
	case err != nil || n == 0:
		return 0, false
	}
	if p.record != nil {
		p.record(s.stream, buf[:n])
	}
	if spare {
		s.tee.spill(buf[:n], ended)
	} else {
		s.tee.commit(n)
	}
	if s.seen += int64(n); !s.grown && s.seen > growAt {
		s.grown = true
		s.size = bigRead
		if !s.terminal {
			fdio.GrowPipe(s.fd) // the command can write more while the pump is busy
		}
		s.tee.grow()
	}
	return n, true
}
