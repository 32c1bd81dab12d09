package proxy

import (
	"encoding/binary"
	"slices"
	"time"
)

// The codes of messages before the login that ask for an encrypted connection.
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
)

// parser splits the bytes of one direction into messages.
type parser struct {
	begun bool   // a client's first message, which has no kind, is complete
	buf   []byte // of the message that is not complete
}

// next returns the first complete message of the buffer. The kind of a message before
// the login is 0.
func (r *parser) next() (kind byte, body []byte, ok bool) {
	head := 0
	if r.begun {
		head = 1
	}
	if len(r.buf) < head+4 {
		return 0, nil, false
	}
	end := head + int(binary.BigEndian.Uint32(r.buf[head:]))
	if len(r.buf) < end || end < head+4 {
		return 0, nil, false
	}
	if r.begun {
		kind = r.buf[0]
	}
	body = r.buf[head+4 : end]
	r.buf = r.buf[end:]
	return kind, body, true
}

// observe counts the messages in data. It returns data in pieces: a hold that waits for a
// message begins with the piece in which the message begins, or ends if it began in
// earlier data.
func (l *link) observe(data []byte, d Direction) []chunk {
	now := time.Now()
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == ToClient {
		l.observeServer(data)
		return []chunk{{data: data, at: now}}
	}
	var chunks []chunk
	r := &l.fromClient
	if !r.begun && len(r.buf) == 0 && data[0] != 0 {
		l.opaque = true // TLS from the first byte on
	}
	if l.opaque {
		return []chunk{{data: data, at: now}}
	}
	r.buf = append(r.buf, data...)
	sent := 0 // bytes of data that are in chunks
	var begins *hold
	for {
		start := max(0, len(data)-len(r.buf)) // of the next message, in data
		kind, body, ok := r.next()
		if !ok {
			break
		}
		switch {
		case !r.begun && len(body) >= 4:
			switch binary.BigEndian.Uint32(body) {
			case sslRequest, gssEncRequest:
				l.asks++
			default:
				r.begun = true
			}
			continue
		case kind == 'S':
			p.counts.Syncs++
		case kind == 'Q':
			p.counts.Queries++
		}
		i := slices.IndexFunc(p.holds, func(h *hold) bool { return h.match(kind, body) })
		if i < 0 {
			continue
		}
		if start > sent {
			chunks = append(chunks, chunk{data[sent:start], now, begins})
			sent, begins = start, nil
		}
		if begins == nil { // one hold at a time is enough for a piece
			begins = p.holds[i]
			p.holds = slices.Delete(p.holds, i, i+1)
			l.holds = append(l.holds, begins)
		}
	}
	return append(chunks, chunk{data[sent:], now, begins})
}

// observeServer counts the messages of the server. The caller holds the mutex.
func (l *link) observeServer(data []byte) {
	r := &l.fromServer
	r.begun = true
	for l.asks > 0 && len(data) > 0 && !l.opaque && data[0] != 'E' {
		l.opaque = data[0] != 'N' // the answer is one byte
		l.asks--
		data = data[1:]
	}
	if l.opaque {
		return
	}
	r.buf = append(r.buf, data...)
	for {
		kind, _, ok := r.next()
		if !ok {
			return
		}
		if kind == 'Z' {
			l.p.counts.Ready++
		}
	}
}
