package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is one connection of a client. The proxy's mutex guards its fields.
type link struct {
	p              *Proxy
	client, server net.Conn // server is nil before the connection reaches it
	held           Direction
	holds          []*hold       // those that a message of this link matched
	done           chan struct{} // closed when the link is broken
	broken         bool
	fromClient     parser
	fromServer     parser
	asks           int  // requests for encryption without an answer
	opaque         bool // encrypted
}

// chunk is a piece of data that was read.
type chunk struct {
	data []byte
	at   time.Time
	hold *hold // begins with this piece
}

// serve forwards the connection until its end.
func (l *link) serve() {
	defer func() {
		l.p.mu.Lock()
		defer l.p.mu.Unlock()
		l.close()
		delete(l.p.links, l)
		l.rearm()
	}()
	// Without both directions, TCP makes no connection.
	if !l.pass(Both) {
		return
	}
	l.p.mu.Lock()
	target := l.p.target
	l.p.mu.Unlock()
	server, err := net.Dial(target.Network(), target.String())
	if err != nil {
		return
	}
	l.p.mu.Lock()
	l.server = server
	if l.broken {
		_ = server.Close()
	}
	l.p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.forward(l.client, server, ToServer) })
	both.Go(func() { l.forward(server, l.client, ToClient) })
	both.Wait()
}

// rearm gives back the holds of messages that this link took, and did not deliver before it broke.
// The caller holds the mutex.
func (l *link) rearm() {
	for _, h := range l.holds {
		select {
		case <-h.reached:
		default:
			l.p.holds = append(l.p.holds, h)
		}
	}
}

// forward copies one direction until its end.
func (l *link) forward(from, to net.Conn, d Direction) {
	queue := make(chan chunk, 64)
	var failed error
	go func() {
		defer close(queue)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				for _, c := range l.observe(buf[:n], d) {
					select {
					case queue <- c:
					case <-l.done:
						return
					}
				}
			}
			if err != nil {
				failed = err
				return
			}
		}
	}()
	for c := range queue {
		if !l.deliver(c, to, d) {
			l.brk()
			for range queue { // let the reader end
			}
			return
		}
	}
	// The end of the data is held back like the data.
	if !l.pass(d) || !errors.Is(failed, io.EOF) {
		l.brk()
		return
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok && c.CloseWrite() != nil {
		l.brk()
	}
}

// deliver writes a piece when it may arrive. It reports false if the link is broken.
func (l *link) deliver(c chunk, to net.Conn, d Direction) bool {
	l.p.mu.Lock()
	wait := time.Until(c.at.Add(l.p.delay))
	if c.hold != nil {
		l.held |= c.hold.dir
	}
	l.p.mu.Unlock()
	// With ToServer the piece itself is held, so the hold is complete here.
	if c.hold != nil && c.hold.dir == ToServer {
		close(c.hold.reached)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-l.done:
			return false
		}
	}
	if !l.pass(d) {
		return false
	}
	if _, err := to.Write(c.data); err != nil {
		return false
	}
	if c.hold != nil && c.hold.dir != ToServer {
		close(c.hold.reached)
	}
	return true
}

// pass waits until no direction of d is cut. It reports false if the link is broken.
func (l *link) pass(d Direction) bool {
	for {
		l.p.mu.Lock()
		open := (l.p.cut|l.held)&d == 0
		changed := l.p.changed
		broken := l.broken
		l.p.mu.Unlock()
		if broken || open {
			return !broken
		}
		select {
		case <-changed:
		case <-l.done:
		}
	}
}

func (l *link) brk() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.close()
}

// reset breaks the link with a TCP reset. The caller holds the mutex, as in close.
func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // an ended connection cannot, and need not
		}
	}
	l.close()
}

func (l *link) close() {
	if l.broken {
		return
	}
	l.broken = true
	close(l.done)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}
