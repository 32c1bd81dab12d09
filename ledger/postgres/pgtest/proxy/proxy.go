// Package proxy is a network between a client and a PostgreSQL server. It fails on demand:
// it is cut in one direction, is slow, breaks connections, or loses the answer to a
// chosen message.
//
// A cut loses no byte, as with TCP: what was sent arrives after Heal, unless the
// connection ends before.
package proxy

import (
	"net"
	"os"
	"sync"
	"time"
)

// Direction is a set of directions.
type Direction int

const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Counts are numbers of events since the start of a proxy. A message counts when the
// proxy gets it, even if it is not delivered. Messages of an encrypted connection do not
// count.
type Counts struct {
	Connections int
	Syncs       int // Sync messages of clients: each ends a round trip of the extended protocol
	Queries     int // Query messages of clients: each is a round trip of the simple protocol
	Ready       int // ReadyForQuery messages of the server: one for each login, Sync and Query
}

// Proxy forwards connections to one server.
type Proxy struct {
	listener net.Listener
	tasks    sync.WaitGroup

	mu      sync.Mutex
	target  net.Addr
	cut     Direction
	delay   time.Duration
	changed chan struct{} // closed and replaced when something is released
	links   map[*link]bool
	holds   []*hold
	counts  Counts
	closed  bool
}

// hold waits for a message of a client that matches.
type hold struct {
	dir     Direction
	match   func(kind byte, body []byte) bool
	reached chan struct{}
}

// Listen returns a proxy for target that listens on an address, which may have port 0.
// Its unix socket is for every user.
func Listen(network, address string, target net.Addr) (*Proxy, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o777); err != nil {
			_ = l.Close() // the first error counts
			return nil, err
		}
	}
	p := &Proxy{listener: l, target: target, changed: make(chan struct{}), links: map[*link]bool{}}
	p.tasks.Go(p.accept)
	return p, nil
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		l := &link{p: p, client: c, done: make(chan struct{})}
		p.mu.Lock()
		closed := p.closed
		if !closed {
			p.links[l] = true
			p.counts.Connections++
			p.tasks.Go(l.serve)
		}
		p.mu.Unlock()
		if closed {
			_ = c.Close()
		}
	}
}

// Addr returns the address that the proxy listens on.
func (p *Proxy) Addr() net.Addr { return p.listener.Addr() }

// Retarget makes new connections lead to another server.
func (p *Proxy) Retarget(target net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut holds back everything in a direction, in all connections. A new connection does
// not reach the server before Heal. Cut adds to an earlier one.
func (p *Proxy) Cut(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut |= d
}

// Heal ends every cut and releases every connection that a Hold holds.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = 0
	for l := range p.links {
		l.held = 0
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Delay makes each piece of data arrive d later, in both directions.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Reset breaks all connections. By TCP, the peers get a reset. Data that is held back is
// lost.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Hold waits for the next client's message that matches, in an unencrypted connection.
// The kind is the first byte of a message, such as 'Q' for Query or 'P' for Parse.
// Its connection, and no other, is then cut in direction d:
//   - ToClient: the server gets the message, its answer is held back
//   - ToServer: the message, and what follows, is held back
//
// The channel is closed when that has happened. Answers to earlier messages that have not
// arrived yet are held back, too. A message that was lost with its connection does not count.
func (p *Proxy) Hold(d Direction, match func(kind byte, body []byte) bool) (reached <-chan struct{}) {
	h := &hold{d, match, make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = append(p.holds, h)
	return h.reached
}

// Counts returns the counts up to now.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Close breaks all connections and ends the proxy.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Reset()
	p.tasks.Wait()
	return err
}
