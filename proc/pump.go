package proc

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/fdio"
)

const (
	smallRead = 64 << 10  // as much as a pipe holds at first
	bigRead   = 256 << 10 // once there is more than a little output
	growAt    = 32 << 10  // most commands never write this much
)

// source is the reading side of one of the command's outputs.
type source struct {
	stream   Stream
	fd       int // read end, non-blocking; the command's end is a description of its own
	writeEnd int
	terminal bool // fd is a master
	seen     int64
	grown    bool
	size     int // of one read
	tee      *tee
	// Set at the end of run: whether a process can still write to the stream, and
	// how many bytes of it are there that will not be read.
	open   bool
	unread int64
}

// pump reads both pipes in one goroutine. Two goroutines would shuffle the
// order of the streams more than one poll loop does.
type pump struct {
	record   func(Stream, []byte)
	out, err *source
	wakeRead int
	wake     int    // closed by the one who reaps the child; a byte in it: the child has stopped
	tty      *tty   // nil: two pipes
	spare    []byte // for reads that the tee has no room for
}

func newPump(c *Command, t *tty) (*pump, error) {
	p := &pump{record: c.Record, tty: t}
	// To wake us, and one for each stream unless a terminal has both.
	fds := [6]int{-1, -1, -1, -1, -1, -1}
	pipes := len(fds)
	switch {
	case t != nil:
		pipes = 2
	case c.Joined:
		pipes = 4
	}
	for i := 0; i < pipes; i += 2 {
		r, w, err := pipe()
		if err == nil {
			// Somebody may open /proc/self/fd/1 for reading and take what we
			// were told is there: never block in a read.
			err = unix.SetNonblock(r, true)
		}
		if err != nil {
			for _, fd := range fds[:i] {
				_ = unix.Close(fd)
			}
			return nil, os.NewSyscallError("pipe", err)
		}
		fds[i], fds[i+1] = r, w
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

// close closes the read ends: whoever still writes gets SIGPIPE, or HUP where
// it was a terminal.
func (p *pump) close() {
	for _, fd := range []int{p.out.fd, p.err.fd, p.wakeRead} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// run passes everything on until the child has ended and what it left in the
// pipes has been taken. It does not wait for the end of the pipes: background
// processes of the child may hold them for ever.
func (p *pump) run(ended <-chan struct{}) {
	sources := []*source{p.out, p.err}
	fds := []unix.PollFd{
		{Fd: int32(p.out.fd), Events: unix.POLLIN},
		{Fd: int32(p.err.fd), Events: unix.POLLIN},
		{Fd: int32(p.wakeRead), Events: unix.POLLIN},
	}
	for {
		fdio.Await(fds, -1)
		for i, s := range sources {
			if fds[i].Revents == 0 {
				continue
			}
			if _, open := p.read(s, s.size, ended); !open {
				fds[i].Fd = -1 // ignored by poll
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
	// The child is dead, so its last byte is among what is there.
	p.tty.endOfInput()
	p.drain(sources, fds, ended)
	p.tty.closeSlave()
	end := time.Now().Add(grace)
	p.linger(sources, fds[:len(sources)], end, ended)
	p.noteLeftover(sources, fds[:len(sources)], end, ended)
}

// childState reports what has become of the child: it was stopped, or it is over.
// Neither is true when there is no news.
func (p *pump) childState() (stopped, over bool) {
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

// drain reads what is there, and not what is written meanwhile.
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

// buffered returns how many bytes wait to be read. Of a terminal nobody can
// tell: what is in the kernel's queue is only a part. It has less than a MiB,
// and a read says EAGAIN only when there is nothing.
func (s *source) buffered() (int, error) {
	if s.terminal {
		return fdio.BigPipe, nil
	}
	return buffered(s.fd)
}

// grace is how long the pipes are read on after the command's end. A filter
// that the command put before its own output, `exec > >(tee log)` in bash, has
// yet to pass on the last of it, and ends as soon as it has.
const grace = 500 * time.Millisecond

// linger reads until the end of the pipes. When a process holds them longer, it
// stops at a time, or when it has read a pipe's content.
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

// untilMillis returns the time that is left as poll takes it, 0 for none.
func untilMillis(end time.Time) int {
	left := time.Until(end)
	if left <= 0 {
		return 0
	}
	return int(left.Milliseconds()) + 1
}

// noteLeftover takes what is in the pipes a last time, and notes what stays behind until
// the end of the grace.
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
				continue // the end
			}
		}
		s.open, s.unread = true, int64(n)
	}
}

// read takes one read's worth, at most limit bytes, from a source and passes it
// on. It returns false at the end of the pipe.
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
			fdio.GrowPipe(s.fd) // the command writes on while the pump is busy
		}
		s.tee.grow()
	}
	return n, true
}
