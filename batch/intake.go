package batch

import (
	"sync"
)

// The bounds of the items that are read ahead. A producer that is faster than the commands
// waits.
const (
	maxAhead      = 10_000
	maxAheadBytes = 4 << 20
)

// intake is the queue of items that were read and that no slot has asked for yet. The
// reader adds to it, the scheduler takes from it.
type intake struct {
	mu     sync.Mutex
	room   sync.Cond // signaled when the queue has room, or is closed
	ring   []*unit
	first  int
	n      int
	bytes  int
	closed bool
}

func newIntake() *intake {
	q := &intake{}
	q.room.L = &q.mu
	return q
}

// push adds an item, after it has waited for room. It reports false if the queue is closed.
func (q *intake) push(u *unit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.n > 0 && (q.n >= maxAhead || q.bytes+u.size() > maxAheadBytes) {
		q.room.Wait()
	}
	if q.closed {
		return false
	}
	if q.n == len(q.ring) {
		larger := make([]*unit, max(16, 2*q.n))
		for i := range q.n {
			larger[i] = q.ring[(q.first+i)%len(q.ring)]
		}
		q.ring, q.first = larger, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = u
	q.n++
	q.bytes += u.size()
	return true
}

// pop takes the oldest item, or returns nil if there is none.
func (q *intake) pop() *unit {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return nil
	}
	u := q.ring[q.first]
	q.ring[q.first] = nil
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	q.bytes -= u.size()
	q.room.Signal()
	return u
}

// len returns the number of items.
func (q *intake) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// close makes push report false.
func (q *intake) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
}
