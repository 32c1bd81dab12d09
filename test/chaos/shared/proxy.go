//go:build linux

package shared

import (
	"net"
	"regexp"
	"sync"
	"sync/atomic"
)

// proxy passes the bytes of connections on to a server. It can stop them in one direction
// or both, and can hold back the answers to one message. The bytes that it stops are late,
// not lost, as in a network that TCP repairs.
type proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	accepted atomic.Int64

	mu    sync.Mutex
	moved *sync.Cond
	stop  [2]bool // by direction
	links map[*link]bool
	hold  *hold // for the next message that matches
}

// direction is that of bytes.
type direction int

const (
	toServer direction = iota
	toClient
)

// link is one connection.
type link struct {
	ends [2]net.Conn // by the direction that ends there
	held *hold       // from now on the answers are held back
	dead bool
}

// hold is a message whose answers are held back.
type hold struct {
	match   *regexp.Regexp
	skip    int           // let so many matches pass before
	hit     chan struct{} // closed once the message has passed
	release bool
}

func newProxy(l net.Listener, dial func() (net.Conn, error)) *proxy {
	p := &proxy{listener: l, dial: dial, links: map[*link]bool{}}
	p.moved = sync.NewCond(&p.mu)
	go p.accept()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		go func() {
			p.mu.Lock()
			dial := p.dial
			p.mu.Unlock()
			server, err := dial()
			if err != nil {
				reset(client)
				return
			}
			l := &link{}
			l.ends[toServer], l.ends[toClient] = server, client
			p.mu.Lock()
			p.links[l] = true
			p.mu.Unlock()
			go p.pass(l, toServer)
			p.pass(l, toClient)
		}()
	}
}

// pass passes the bytes of one direction on. The end of one direction ends the connection.
func (p *proxy) pass(l *link, to direction) {
	defer p.kill(l)
	from := l.ends[1-to]
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		if n > 0 && to == toServer {
			p.notice(l, buffer[:n])
		}
		for !l.dead && (p.stop[to] || to == toClient && l.held != nil && !l.held.release) {
			p.moved.Wait()
		}
		dead := l.dead
		p.mu.Unlock()
		if dead {
			return
		}
		if n > 0 {
			if _, err := l.ends[to].Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// notice starts to hold back answers if the bytes have the message to wait for.
func (p *proxy) notice(l *link, b []byte) {
	h := p.hold
	if h == nil || !h.match.Match(b) {
		return
	}
	if h.skip > 0 {
		h.skip--
		return
	}
	p.hold = nil
	l.held = h
	close(h.hit)
}

// kill ends a connection. It waits for nothing that was stopped.
func (p *proxy) kill(l *link) {
	p.mu.Lock()
	l.dead = true
	delete(p.links, l)
	p.moved.Broadcast()
	p.mu.Unlock()
	for _, c := range l.ends {
		reset(c)
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// cut stops the bytes in the given directions, and lets those of the others pass.
func (p *proxy) cut(server, client bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop[toServer], p.stop[toClient] = server, client
	p.moved.Broadcast()
}

func (p *proxy) heal() { p.cut(false, false) }

// redirect sends new connections to another server.
func (p *proxy) redirect(dial func() (net.Conn, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial = dial
}

// resetAll ends all connections.
func (p *proxy) resetAll() {
	p.mu.Lock()
	var all []*link
	for l := range p.links {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		p.kill(l)
	}
}

// holdAfter holds back the answers from the next message on that matches, after so many
// that match and pass.
func (p *proxy) holdAfter(match *regexp.Regexp, skip int) *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = &hold{match: match, skip: skip, hit: make(chan struct{})}
	return p.hold
}

// letGo ends a hold: the answers that were held back now come, or the connection ends
// without them.
func (p *proxy) letGo(h *hold, come bool) {
	p.mu.Lock()
	if p.hold == h {
		p.hold = nil
	}
	h.release = true
	var lost []*link
	for l := range p.links {
		if l.held == h && !come {
			lost = append(lost, l)
			l.dead = true
		}
	}
	p.moved.Broadcast()
	p.mu.Unlock()
	for _, l := range lost {
		p.kill(l)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.resetAll()
}
