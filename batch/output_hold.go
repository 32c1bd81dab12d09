package batch

import "idem/ledger"

// append adds it to the queue. p.mu is held.
func (p *Printer) append(it *Item) {
	it.queued = true
	if it.before = p.last; it.before == nil {
		p.first = it
	} else {
		it.before.after = it
	}
	p.last = it
	p.places++
	if !p.started {
		p.started = true
		go p.print()
	}
}

// remove removes it from the queue. p.mu is held.
func (p *Printer) remove(it *Item) {
	if !it.queued {
		return
	}
	it.queued = false
	if it.before == nil {
		p.first = it.after
	} else {
		it.before.after = it.after
	}
	if it.after == nil {
		p.last = it.before
	} else {
		it.after.before = it.before
	}
	first := it.before == nil
	it.before, it.after = nil, nil
	if p.places--; p.places == placesMax-1 {
		p.room.Broadcast()
	}
	if first {
		p.wake.Signal()
		p.room.Broadcast() // the next item may be waiting, and has more room now
		p.unblock()
	}
}

// unblock moves an item to the front of the queue if its command waits for room and the
// item at the front does not run. Otherwise the front item might never run, if all slots
// have commands that wait. p.mu is held.
func (p *Printer) unblock() {
	front := p.first
	if p.waiting == 0 || front == nil || front.running || front.ended || front.oldest != nil {
		return
	}
	it := front.after
	for it != nil && !it.waits {
		it = it.after
	}
	if it == nil {
		return
	}
	it.before.after = it.after
	if it.after == nil {
		p.last = it.before
	} else {
		it.after.before = it.before
	}
	it.before, it.after, front.before, p.first = nil, front, it, it
	p.wake.Signal()
	p.room.Broadcast()
}

// write is Item.Write.
func (p *Printer) write(it *Item, s ledger.Stream, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		n := p.take(it, s, b)
		it.count[index(s)] += int64(n)
		b = b[n:]
		if n > 0 {
			continue
		}
		it.waits = true
		p.waiting++
		p.unblock()
		p.room.Wait()
		p.waiting--
		it.waits = false
	}
	if p.first == it {
		p.wake.Signal()
	}
}

// take takes the beginning of b and returns its length. It returns 0 if the caller must
// wait for room.
func (p *Printer) take(it *Item, s ledger.Stream, b []byte) int {
	if it.ended || p.dead[index(s)] {
		return len(b)
	}
	if it.unheld && p.used < p.most/2 {
		it.unheld = false // not earlier, since each gap has its price
	}
	if !it.unheld {
		if n := p.hold(it, s, b); n > 0 {
			return n
		}
	}
	it.unheld = true
	if n := min(int64(len(b)), it.keeps-it.count[0]-it.count[1]); n > 0 {
		it.skip(s, n)
		return int(n)
	}
	// The ledger will not have the next byte.
	if n := p.hold(it, s, b); n > 0 {
		return n
	}
	if p.hurry || p.o.FailedOnly {
		it.lost[index(s)] = true
		return len(b)
	}
	if !it.queued { // with OrderDone, it must not wait for itself
		p.append(it)
	}
	p.wake.Signal()
	return 0
}

// hold holds the beginning of b if there is memory, and returns its length.
func (p *Printer) hold(it *Item, s ledger.Stream, b []byte) int {
	rest, before := b, 0
	if n := it.newest; n != nil && n.gap == nil {
		rest, before = n.add(s, rest), cap(n.buf)
	}
	for len(rest) > 0 {
		size := sizeOf(len(rest), before)
		most := p.most
		if it != p.first {
			most -= p.most / 16 // for the first one, so that those behind it cannot stop it
		}
		if p.used+blockItself+smallBlock<<size > most {
			break
		}
		n := newBlock(size)
		p.use(n.memory())
		rest, before = n.add(s, rest), cap(n.buf)
		it.link(n)
	}
	return len(b) - len(rest)
}

func (it *Item) link(b *block) {
	if it.newest == nil {
		it.oldest = b
	} else {
		it.newest.next = b
	}
	it.newest = b
}

// skip adds n bytes to the gap at the end of the output.
func (it *Item) skip(s ledger.Stream, n int64) {
	if b := it.newest; b == nil || b.gap == nil || b.gap.run != it.run {
		it.link(&block{gap: &gap{run: it.run, from: it.count}})
	}
	it.newest.gap.bytes[index(s)] += n
}

// detach takes the output so far out of it. p.mu is held.
func (it *Item) detach() *block {
	b := it.oldest
	it.oldest, it.newest = nil, nil
	return b
}

// use says that held output needs more memory, or less. p.mu is held.
func (p *Printer) use(bytes int) {
	p.used += bytes
	if change := p.used - p.told; max(change, -change) >= heldStep {
		garbage.add(change)
		p.told = p.used
	}
}

// free frees blocks after they were printed or dropped. p.mu is held.
func (p *Printer) free(b *block) {
	if b == nil {
		return
	}
	for b != nil {
		next := b.next
		p.use(-b.memory())
		b.free()
		b = next
	}
	p.room.Broadcast()
}

// pause is Item.Pause.
func (p *Printer) pause(it *Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it.running = false
	p.room.Broadcast() // see Wait
	p.unblock()
}

// end ends an item and has its output printed, or drops it.
func (p *Printer) end(it *Item, print bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.ended {
		return
	}
	it.ended, it.running = true, false
	if !print {
		it.replay = false
		p.free(it.detach())
	} else if it.lost != [2]bool{} {
		p.lack(it, it.lost[0], nil)
	}
	switch something := it.oldest != nil || it.replay; {
	case it.begun: // the writer has yet to end it
		p.wake.Signal()
	case !something:
		p.remove(it)
	case !it.queued:
		p.append(it)
	}
	if p.first == it {
		p.wake.Signal()
	}
}

// lack notes that the output of it lacks bytes. stdout reports whether they are, or may be,
// bytes of stdout that were to be recorded. p.mu is held.
func (p *Printer) lack(it *Item, stdout bool, why error) {
	r := &p.report
	if r.Why == nil {
		r.Why = why
	}
	if !it.lacking {
		it.lacking = true
		if r.Lacking++; r.Lacking == 1 {
			r.FirstLacking = it.id
		}
	}
	if stdout && !it.cut {
		it.cut = true
		r.Cut++
	}
}
