package batch

import (
	"bytes"

	"idem/ledger"
	"idem/proc"
)

// print is the writer. It prints the items from the front of the queue on.
func (p *Printer) print() {
	defer close(p.done)
	w := &writer{p: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		it := p.next()
		switch {
		case it != nil:
			it.begun = true
			b, ended := it.detach(), it.ended
			p.mu.Unlock()
			w.item(it, b, ended)
			p.mu.Lock()
			p.free(b)
			if ended {
				p.remove(it)
			}
			p.unblock()
		case w.waits():
			p.mu.Unlock()
			w.flush()
			p.mu.Lock()
		case p.closed:
			return
		default:
			p.wake.Wait()
		}
	}
}

// next returns the item at the front if there is something to do about it. p.mu is held.
func (p *Printer) next() *Item {
	for p.closed && p.first != nil && !p.first.ended { // nothing will end it
		p.first.ended = true
		p.free(p.first.detach())
	}
	it := p.first
	if it == nil || !it.ended && (it.oldest == nil || p.o.FailedOnly) {
		return nil
	}
	return it
}

// joined is the number of bytes from which on output is not joined with other output.
const joined = 16 << 10

// writer writes the outputs of items, one after the other.
type writer struct {
	p        *Printer
	it       *Item  // of the latest output
	pending  []byte // output that was joined for one write
	stream   ledger.Stream
	tag      []byte  // with a tab; empty: no tag
	midLine  [2]bool // by stream: the item has begun a line, with a tag
	recorded recorded
}

// item writes a part of the output of it, and with ended, its end.
func (w *writer) item(it *Item, b *block, ended bool) {
	if w.it != it {
		w.end()
		w.it = it
	}
	if w.tag = w.tag[:0]; it.tag != "" {
		w.tag = append(append(w.tag, it.tag...), '\t')
	}
	for ; b != nil; b = b.next {
		if b.gap != nil {
			w.gap(it, b.gap)
		} else {
			b.pieces(w.add)
		}
	}
	if !ended {
		return
	}
	if it.replay {
		w.record(it)
	}
	w.end()
}

// end ends the latest output, and its line if that has a tag.
func (w *writer) end() {
	for i := range w.midLine {
		if w.midLine[i] {
			w.join(ledger.Stream(i+1), newline)
		}
	}
	w.it, w.midLine = nil, [2]bool{}
	w.recorded.close()
}

var newline = []byte{'\n'}

// add writes a piece of output, with its tags.
func (w *writer) add(s ledger.Stream, b []byte) {
	if len(w.tag) == 0 {
		w.join(s, b)
		return
	}
	for len(b) > 0 {
		if !w.midLine[index(s)] {
			w.join(s, w.tag)
		}
		n := bytes.IndexByte(b, '\n') + 1
		if w.midLine[index(s)] = n == 0; n == 0 {
			n = len(b)
		}
		w.join(s, b[:n])
		b = b[n:]
	}
}

// join writes b now or together with the next output.
func (w *writer) join(s ledger.Stream, b []byte) {
	if s != w.stream || len(w.pending)+len(b) > bigBlock {
		w.flush()
	}
	if w.stream = s; len(b) >= joined {
		w.flush()
		w.write(b)
		return
	}
	w.pending = append(w.pending, b...)
}

func (w *writer) waits() bool { return len(w.pending) > 0 }

func (w *writer) flush() {
	if len(w.pending) > 0 {
		w.write(w.pending)
		w.pending = w.pending[:0]
	}
}

// write writes b to the current stream, unless an earlier write failed.
func (w *writer) write(b []byte) {
	i := index(w.stream)
	if w.dead()[i] {
		return
	}
	err := w.p.screen.output(w.stream, b)
	if err == nil {
		return
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.dead[i] = true
	if !proc.ReaderGone(w.p.screen.file(w.stream), err) {
		w.p.report.Faults = append(w.p.report.Faults, err)
	}
	w.p.room.Broadcast() // a command that waits for this stream goes on
}
